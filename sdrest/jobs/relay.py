"""What several servers on one queue tell each other, so that each can say what happens on all of them.

A note is only a hint that somebody should look: of a change of a job it names the id, and whoever hears it reads the job. Notes
may be lost (a connection breaks, a server is behind), so all is read again now and then as well, and whenever the channel is new.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Final, Protocol

import msgspec
import structlog

from sdrest.core.background import Background
from sdrest.core.errors import SdrestError
from sdrest.core.events import (
    CancelWanted,
    Event,
    JobChanged,
    JobPreviewed,
    JobProgressed,
    JobRemoved,
    OutputMade,
    PreviewWanted,
    SkipWanted,
    ValuesChanged,
)
from sdrest.core.job import TERMINAL_STATES, Job, JobState, Progress
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.service import JobService

log = structlog.get_logger(__name__)

#: Between two batches of notes; what comes meanwhile goes with the next one, the newest progress of each job only.
_PAUSE_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 1.0
#: Jobs whose last news are remembered.
_KEPT: Final = 50_000
#: Ended jobs are read again for as long: their ends were told by servers with clocks of their own, and stored a little later.
_OVERLAP: Final = timedelta(seconds=30)
_MANY: Final = 100_000


class Looked(msgspec.Struct, tag="look", array_like=True, frozen=True):
    """A job has changed."""

    job_id: str


class Gone(msgspec.Struct, tag="gone", array_like=True, frozen=True):
    """A job was deleted."""

    job_id: str
    principal: str


class Came(msgspec.Struct, tag="came", array_like=True, frozen=True):
    """An attempt came further."""

    job_id: str
    principal: str
    lease_id: str
    progress: Progress


class Seen(msgspec.Struct, tag="seen", array_like=True, frozen=True):
    """There is a new preview, which is shown if somebody wants it; ``is_shown`` when it can be had."""

    job_id: str
    principal: str
    step: int
    width: int
    height: int
    is_shown: bool = False


class Want(msgspec.Struct, tag="want", array_like=True, frozen=True):
    """Somebody wants to see the newest preview of a job; ``begins``: it is to make some if it makes none by itself."""

    job_id: str
    begins: bool


class Skip(msgspec.Struct, tag="skip", array_like=True, frozen=True):
    """Somebody wants one picture (from 1) of a job left out."""

    job_id: str
    picture: int


class Values(msgspec.Struct, tag="values", array_like=True, frozen=True):
    """A value beside the jobs has changed."""


Note = Looked | Gone | Came | Seen | Want | Skip | Values
_NOTES: Final = msgspec.json.Decoder(Note)


class Channel(Protocol):
    """Carries notes between servers, and previews to those who ask."""

    async def send(self, notes: Sequence[str]) -> None:
        """Tell all other servers.

        Raises:
            SdrestError: it cannot be done at the moment.
        """
        ...

    async def show(self, preview: JobPreviewed) -> None:
        """Lay a preview where all servers can have it; raises as :meth:`send`."""
        ...

    async def shown(self, note: Seen) -> JobPreviewed | None:
        """The preview that was laid there last for a job; raises as :meth:`send`."""
        ...


class _Again(IntEnum):
    """What is to be read again."""

    NOTHING = 0
    RUNNING = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class _Known:
    """What was last told of a job here."""

    state: JobState
    lease_id: str
    priority: int
    waits_for: frozenset[str]
    outputs: frozenset[str]

    def is_as(self, other: _Known) -> bool:
        """Whether nothing but outputs has changed."""
        return dataclasses.replace(self, outputs=other.outputs) == other


def _known(job: Job) -> _Known:
    outputs = frozenset(output.file for output in job.outputs)
    return _Known(job.state, job.lease_id, job.priority, frozenset(job.waits_for), outputs)


class Relay:
    """Tells the other servers what happens here, and here what happens there.

    Args:
        service: The queue of this server.
        channel: The way to the others.
        refresh: What reads values again that are kept in memory.
    """

    def __init__(
        self,
        service: JobService,
        channel: Channel,
        refresh: Sequence[Callable[[], Awaitable[None]]],
    ) -> None:
        self._service = service
        self._running = service.running
        self._broadcast = service.broadcast
        self._channel = channel
        self._refresh = refresh
        self._clock = service.clock
        self._told: OrderedDict[str, _Known] = OrderedDict()
        self._outgoing: dict[tuple[type[Note], str], Note] = {}
        self._incoming: list[Note] = []
        self._again = _Again.NOTHING
        self._sends, self._hears = asyncio.Event(), asyncio.Event()
        #: Until when the ends of jobs were read.
        self._read_until = self._clock()
        self.loops = (Background("relay-out", self._send), Background("relay-in", self._hear))
        self._broadcast.forward = self._published

    # ------------------------------------------------------------------ from here to the others

    def _published(self, event: Event) -> None:
        match event:
            case JobChanged(job=job):
                self._remember(job)
                self._put(Looked(job.id))
            case OutputMade(job_id=job_id) | CancelWanted(job_id=job_id):
                self._put(Looked(job_id))
            case JobRemoved():
                self._told.pop(event.job_id, None)
                self._put(Gone(event.job_id, event.principal))
            case JobProgressed():
                if (attempt := self._running.of(event.job_id)) is not None:
                    self._put(Came(event.job_id, event.principal, attempt.job.lease_id, event.progress))
            case JobPreviewed():
                self._put(Seen(event.job_id, event.principal, event.step, event.width, event.height))
            case PreviewWanted():
                self._put(Want(event.job_id, begins=True))
            case SkipWanted():
                self._put(Skip(event.job_id, event.picture))
            case ValuesChanged():
                self._put(Values())
            case _:
                pass

    def _put(self, note: Note) -> None:
        key = (type(note), getattr(note, "job_id", ""))
        self._outgoing.pop(key, None)
        self._outgoing[key] = note
        self._sends.set()

    async def _send(self) -> None:
        while True:
            await self._sends.wait()
            self._sends.clear()
            notes, self._outgoing = self._outgoing, {}
            try:
                await self._channel.send([msgspec.json.encode(note).decode() for note in notes.values()])
            except SdrestError as error:
                log.warning("other servers cannot be told at the moment", problem=error.message)
                self._outgoing = {**notes, **self._outgoing}
                self._sends.set()
                await asyncio.sleep(_RETRY_SECONDS)
            await asyncio.sleep(_PAUSE_SECONDS)

    # ------------------------------------------------------------------ from the others

    def heard(self, notes: Iterable[str]) -> None:
        """Notes of another server have come; what is none is passed over."""
        for text in notes:
            try:
                self._incoming.append(_NOTES.decode(text))
            except msgspec.DecodeError:  # of another version
                log.debug("a note of another server is not understood")
        self._hears.set()

    def look_again(self, *, at_all: bool) -> None:
        """Notes may have been lost: read again what runs, and with ``at_all`` also what has ended since that was last done."""
        self._again = max(self._again, _Again.ALL if at_all else _Again.RUNNING)
        self._hears.set()

    async def _hear(self) -> None:
        while True:
            await self._hears.wait()
            self._hears.clear()
            again, self._again = self._again, _Again.NOTHING
            notes, self._incoming = self._incoming, []
            try:
                if again is not _Again.NOTHING:
                    await self._read_again(again)
                await self._take(notes)
            except SdrestError as error:
                log.warning("what other servers do cannot be read at the moment", problem=error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                self.look_again(at_all=True)

    async def _take(self, notes: Sequence[Note]) -> None:
        ids = {note.job_id for note in notes if isinstance(note, Looked)}
        before = {job_id: self._told.get(job_id) for job_id in ids}
        jobs = {job.id: job for job in await self._find(JobFilter(ids=ids))} if ids else {}
        for note in notes:
            match note:
                case Looked(job_id=job_id):
                    if job_id in jobs:
                        self._changed(jobs.pop(job_id), before[job_id])
                case Gone():
                    self._told.pop(note.job_id, None)
                    self._broadcast.deliver(JobRemoved(note.job_id, note.principal))
                case Came():
                    known = self._told.get(note.job_id)
                    if known is None or known.lease_id == note.lease_id:  # else of an attempt that has lost its job
                        self._running.reached_elsewhere(JobProgressed(note.job_id, note.principal, note.progress))
                case Seen():
                    await self._see(note)
                case Want():
                    await self._show(note)
                case Skip():
                    if (attempt := self._running.of(note.job_id)) is not None:
                        attempt.skip(note.picture)
                case Values():
                    await self._read_values()

    async def _see(self, note: Seen) -> None:
        """Take a preview that can be had; ask for one if anybody would look at it."""
        if note.is_shown:
            preview = await self._channel.shown(note)
            if preview is not None and self._running.of(note.job_id) is None:
                self._running.reached_elsewhere(preview)
        elif self._broadcast.is_wanted(
            JobPreviewed(note.job_id, note.principal, note.step, note.width, note.height, b"")
        ):
            self._put(Want(note.job_id, begins=False))

    async def _show(self, want: Want) -> None:
        """Somebody elsewhere wants to see a job that may be carried out here."""
        attempt = self._running.of(want.job_id)
        if attempt is None:
            return
        if want.begins:
            attempt.watch()
        if (preview := attempt.preview) is not None:
            await self._channel.show(preview)
            self._put(Seen(want.job_id, preview.principal, preview.step, preview.width, preview.height, is_shown=True))

    def _changed(self, job: Job, before: _Known | None) -> None:
        """Tell here what has become of a job, unless that was told already; ``before`` is what was told when it was read."""
        if self._told.get(job.id) is not before:  # this server has changed it meanwhile: it is read anew
            self._incoming.append(Looked(job.id))
            self._hears.set()
            return
        attempt = self._running.of(job.id)
        if attempt is not None and (job.state is not JobState.RUNNING or job.lease_id != attempt.job.lease_id):
            attempt.lose()
        if job.state is JobState.RUNNING and job.cancel_requested_at is not None:
            self._running.cancel_here(job.id)
        now = _known(job)
        if before is None or not now.is_as(before):
            self._running.changed_elsewhere(job, before.state if before else _first_before(job))
        elif attempt is None and job.state is JobState.RUNNING:
            for output in job.outputs:
                if output.file not in before.outputs:
                    self._broadcast.deliver(OutputMade(job.id, job.principal, output))
        self._remember(job)

    def _remember(self, job: Job) -> None:
        self._told[job.id] = _known(job)
        self._told.move_to_end(job.id)
        while len(self._told) > _KEPT:
            self._told.popitem(last=False)

    async def _read_again(self, what: _Again) -> None:
        now, before = self._clock(), dict(self._told)
        jobs = [*await self._find(JobFilter(states=(JobState.RUNNING,)))]
        if what is _Again.ALL:
            jobs += await self._find(JobFilter(states=TERMINAL_STATES, finished_after=self._read_until - _OVERLAP))
            self._read_until = now
        told = {job_id for job_id, known in before.items() if known.state is JobState.RUNNING}
        missing = told - {job.id for job in jobs}
        jobs += await self._find(JobFilter(ids=missing)) if missing else ()
        for job in jobs:
            self._changed(job, before.get(job.id))
        await self._read_values()

    async def _read_values(self) -> None:
        for refresh in self._refresh:
            await refresh()
        self._running.wake_workers()

    async def _find(self, wanted: JobFilter) -> Sequence[Job]:
        return await self._service.store.find(dataclasses.replace(wanted, limit=_MANY))


def _first_before(job: Job) -> JobState | None:
    """The state before, of a job that is heard of for the first time."""
    if job.state is JobState.PENDING and job.attempt == 0:
        return None
    return JobState.RUNNING if job.state is not JobState.RUNNING and job.started_at else JobState.PENDING
