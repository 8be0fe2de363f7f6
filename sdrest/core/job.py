"""A job: one request on its way through the queue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sdrest.core.use import Charge


class JobType(StrEnum):
    """What a job does."""

    TXT2IMG = "txt2img"
    IMG2IMG = "img2img"
    INPAINT = "inpaint"
    CONTROLNET = "controlnet"
    UPSCALE = "upscale"
    VIDEO = "video"
    CONVERT = "convert"
    HASH = "hash"
    DOWNLOAD = "download"
    LOAD = "load"
    LOAD_TEST = "load_test"


class JobState(StrEnum):
    """Where a job is. An intent to cancel is not a state; see ``Job.cancel_requested_at``."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL_STATES: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


class Phase(StrEnum):
    """What a running job is doing."""

    WAIT = "wait"
    LOAD = "load"
    ENCODE = "encode"
    SAMPLE = "sample"
    DECODE = "decode"
    UPSCALE = "upscale"
    SAVE = "save"
    WORK = "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running job is; ``fraction`` (0–1) never goes back within an attempt."""

    phase: Phase = Phase.WAIT
    step: int = 0
    steps: int = 0
    #: Picture being made, counted from 1, of ``images``.
    image: int = 0
    images: int = 0
    fraction: float = 0.0
    eta_seconds: float | None = None
    #: For work on files: bytes done, of all where that is known, and how many a second.
    done_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One finished file of a job, in the job's output folder."""

    file: str
    media_type: str
    size_bytes: int
    width: int = 0
    height: int = 0
    seed: int | None = None
    #: Parameters as written into the file (A1111 text form); empty for files without.
    infotext: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binned:
    """A finished file that was thrown away: it can be put back until the bin is emptied."""

    output: Output
    at: datetime


def with_output(outputs: Iterable[Output], output: Output) -> tuple[Output, ...]:
    """``outputs`` with one more, or with a newer one of its name; ``image_2.png`` comes before ``image_10.png``."""
    by_name = {item.file: item for item in (*outputs, output)}
    return tuple(by_name[name] for name in sorted(by_name, key=lambda name: (len(name), name)))


def number_of(file: str) -> str:
    """Which of its job's outputs a file is, counted from 0, as its name tells it: ``2`` for ``image_2.png``."""
    return file.partition(".")[0].rpartition("_")[2]


def numbered(outputs: Iterable[Output], number: int) -> Output | None:
    """The output that was made as number ``number``, counted from 0; None when it is not there (yet, or any more)."""
    return next((item for item in outputs if number_of(item.file) == str(number)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job failed: a stable slug, a sentence, and the last words of the native library."""

    slug: str
    message: str
    log_tail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as stored. Every change makes a new value; only the store changes what is on disk."""

    id: str
    type: JobType
    state: JobState = JobState.PENDING
    #: Who asked; empty for a server without authentication.
    principal: str = ""
    #: Higher runs first; 0 is normal.
    priority: int = 0
    #: The resolved parameters as JSON values; the class is given by the type.
    parameters: dict[str, Any] = field(default_factory=dict)
    #: Id of the main model, for scheduling and search; empty when none is needed.
    model_id: str = ""
    model_name: str = ""
    #: What it takes of an engine's memory at the least; 0 while that is not known. No engine gets it that has less.
    memory_bytes: int = 0
    #: How often it was begun.
    attempt: int = 0
    #: The claim under which it runs, or last ran: no two claims ever have the same. Empty before the first.
    lease_id: str = ""
    #: Attempts that ended because the server itself was stopped abruptly; they are no sign that the job is at fault.
    interruptions: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    #: Time spent by the engine on the successful attempt, in seconds.
    seconds: float | None = None
    #: The finished files, whatever the state: of a job that is tried again also those of the attempt before.
    outputs: tuple[Output, ...] = ()
    #: Finished files that were thrown away and are still there; none of ``outputs``.
    bin: tuple[Binned, ...] = ()
    failure: Failure | None = None
    #: Things the client should know but that did not stop the job.
    warnings: tuple[str, ...] = ()
    idempotency_key: str = ""
    webhook_url: str = ""
    #: Digest of all that shapes the result; empty when the result is not to be used again.
    result_key: str = ""
    #: Id of the job that made the outputs, when this one was answered with an earlier result.
    reused_from: str = ""
    #: Input pictures that are outputs of other jobs: ``<id>/<number of the output>`` by the file that it becomes, or became, here.
    sources: dict[str, str] = field(default_factory=dict)
    #: The output of another job whose parameters it has, but for the seed, as in ``sources``; empty: of none.
    varied_from: str = ""
    #: Ids of the jobs whose pictures it still waits for: as long as there are any, nobody takes it from the queue.
    waits_for: tuple[str, ...] = ()
    #: The group that it is one of (empty: none), and its place there.
    group_id: str = ""
    place: int = 0
    #: What it was counted with against the quotas of who asked; None: it is not counted.
    charge: Charge | None = None
    #: Which dialect it came through and what that dialect needs to answer again (a stable id of its own, for example).
    origin: dict[str, Any] = field(default_factory=dict)
    #: Its place in the order of arrival, which lists are in; the store gives it, and no two jobs ever have the same.
    sequence: int = field(default=0, compare=False)

    @property
    def is_finished(self) -> bool:
        """Whether the job has reached one of its three ends."""
        return self.state in TERMINAL_STATES
