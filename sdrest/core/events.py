"""What happens to jobs and models while the server runs, as seen by subscribers."""

from __future__ import annotations

from dataclasses import dataclass

from sdrest.core.job import Job, Output, Progress
from sdrest.core.principal import Principal


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job was added or changed its state; ``job`` is its new value."""

    job: Job
    previous: str | None


@dataclass(frozen=True, slots=True)
class JobProgressed:
    """A running job came further."""

    job_id: str
    principal: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class JobPreviewed:
    """A new preview picture of a running job (JPEG bytes)."""

    job_id: str
    principal: str
    step: int
    width: int
    height: int
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class OutputMade:
    """A running job has finished one of its files."""

    job_id: str
    principal: str
    output: Output


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """A model was loaded or unloaded, or loading it failed (``state``: loading, loaded, unloaded, failed)."""

    model_id: str
    model_name: str
    state: str
    fraction: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True)
class JobRemoved:
    """A finished job and its files were deleted."""

    job_id: str
    principal: str


@dataclass(frozen=True, slots=True)
class ServerStopping:
    """The server is about to stop or restart."""

    restarting: bool = False


@dataclass(frozen=True, slots=True)
class CancelWanted:
    """A running job is to be cancelled that is not carried out by this server, as far as it knows. Between servers only."""

    job_id: str


@dataclass(frozen=True, slots=True)
class PreviewWanted:
    """Somebody wants to see a running job that is not carried out by this server. Between servers only."""

    job_id: str


@dataclass(frozen=True, slots=True)
class SkipWanted:
    """One picture (from 1) of a running job that is not carried out by this server is to be left out. Between servers only."""

    job_id: str
    picture: int


@dataclass(frozen=True, slots=True)
class ValuesChanged:
    """A value beside the jobs has changed: the queue was paused, the default model chosen … Between servers only."""


Internal = CancelWanted | PreviewWanted | SkipWanted | ValuesChanged
Event = JobChanged | JobProgressed | JobPreviewed | OutputMade | ModelChanged | JobRemoved | ServerStopping | Internal


def job_of(event: Event) -> str | None:
    """Id of the job that an event is about; None when it is about none."""
    match event:
        case JobChanged(job=job):
            return job.id
        case JobProgressed() | JobPreviewed() | OutputMade() | JobRemoved():
            return event.job_id
        case _:
            return None


def is_visible(event: Event, principal: Principal) -> bool:
    """Whether a principal may hear of an event: of its own jobs, and of what is nobody's."""
    match event:
        case JobChanged(job=job):
            return principal.owns(job.principal)
        case ModelChanged() | ServerStopping():
            return True
        case JobProgressed() | JobPreviewed() | OutputMade() | JobRemoved():
            return principal.owns(event.principal)
        case _:
            return False
