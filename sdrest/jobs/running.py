"""The jobs that are being carried out: what is known of them beside what is stored, and how they are reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from sdrest.core.errors import SdrestError
from sdrest.core.events import CancelWanted, Event, JobChanged, JobPreviewed, JobProgressed, OutputMade
from sdrest.core.job import Job, JobState, JobType, Output, Progress, with_output
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.store import JobStore

log = structlog.get_logger(__name__)


class Attempt:
    """One attempt at a job: its executor tells here what becomes of it, and hears that the job is to be cancelled."""

    def __init__(self, job: Job, store: JobStore, broadcast: Broadcast, files: JobFiles, server: str = "") -> None:
        self._set_out(job, files)
        self._server = server
        self._store = store
        self._broadcast = broadcast

    def _set_out(self, job: Job, files: JobFiles) -> None:
        """What every attempt begins with, wherever it is made."""
        self.job = job
        #: All files of the job, those of earlier attempts included.
        self.outputs = job.outputs
        self.progress = Progress()
        #: The newest preview.
        self.preview: JobPreviewed | None = None
        #: Whether the attempt is to end: somebody wants the job cancelled, or it is lost.
        self.is_cancelled = False
        #: Whether the job is somebody else's by now: nothing more is written for it.
        self.is_lost = False
        self._files = files
        self._cancel: Callable[[], object] | None = None
        self._show: Callable[[], object] | None = None
        self._skip: Callable[[int], object] | None = None
        self._free = asyncio.Event()

    def free_worker(self) -> None:
        """From here on nothing but writing is left to do: the worker may begin its next job."""
        self._free.set()

    async def until_free(self) -> None:
        """Wait for :meth:`free_worker`."""
        await self._free.wait()

    def cancel(self) -> None:
        """End the attempt soon."""
        if not self.is_cancelled:
            self.is_cancelled = True
            if self._cancel is not None:
                self._cancel()

    def lose(self) -> None:
        """End the attempt soon, because it has lost its job."""
        self.is_lost = True
        self.cancel()

    def on_cancel(self, cancel: Callable[[], object]) -> None:
        """What ends the work from now on, in the place of what did before; called at once when the job is to be cancelled already.

        An executor that says nothing here is cancelled as an asyncio task is.
        """
        self._cancel = cancel
        if self.is_cancelled:
            cancel()

    def on_watched(self, show: Callable[[], object]) -> None:
        """What makes the work publish previews, which it does not by itself."""
        self._show = show

    def watch(self) -> None:
        """Have previews published from now on, where the work can show any."""
        if self._show is not None:
            self._show()

    def on_skipped(self, skip: Callable[[int], object]) -> None:
        """What ends one picture of the work, by its number from 1, and lets the others be made."""
        self._skip = skip

    def skip(self, picture: int) -> None:
        """Leave one picture out, where the work makes several."""
        if self._skip is not None:
            self._skip(picture)

    def reached(self, progress: Progress) -> None:
        """Note and publish how far the work is."""
        self.progress = progress
        self._broadcast.publish(JobProgressed(self.job.id, self.job.principal, progress))

    async def made(self, output: Output) -> bool:
        """Note and publish a file; whether it is stored by now. From when it is whole it is the job's, however the attempt ends."""
        self.outputs = with_output(self.outputs, output)
        try:
            place = partial(self._files.place, self.job, (output.file,))
            is_noted = await self._store.note_output(self.job.id, self.job.lease_id, output, place, server=self._server)
        except (OSError, SdrestError) as error:  # it is with the ending
            log.error("cannot note an output", file=output.file, problem=str(error))
            is_noted = False
        if is_noted:
            self._broadcast.publish(OutputMade(self.job.id, self.job.principal, output))
        return is_noted

    def publish(self, event: Event) -> None:
        """Publish any other event of the work; its newest preview is kept."""
        if isinstance(event, JobPreviewed):
            self.preview = event
        self._broadcast.publish(event)


@dataclass(slots=True)
class Elsewhere:
    """What is known of an attempt on another server."""

    progress: Progress = field(default_factory=Progress)
    preview: JobPreviewed | None = None


class Waker:
    """What a worker waits for that has found nothing to do."""

    def __init__(self, types: Collection[JobType], prefers: Callable[[], Collection[str]]) -> None:
        self.types = types
        self._prefers = prefers
        self._event = asyncio.Event()
        self._is_waiting = False

    @property
    def is_set(self) -> bool:
        """Whether a job may have become claimable since :meth:`clear`."""
        return self._event.is_set()

    def is_best_for(self, model_id: str) -> bool:
        """Whether its worker has nothing to do and the model loaded."""
        return self._is_waiting and not self.is_set and model_id in self._prefers()

    def set(self) -> None:
        """Let the worker look at the queue."""
        self._event.set()

    def clear(self) -> None:
        """The worker is about to look."""
        self._event.clear()

    async def wait(self) -> None:
        """Until there may be something to do."""
        self._is_waiting = True
        try:
            await self._event.wait()
        finally:
            self._is_waiting = False


class RunningJobs:
    """The attempts of all workers, and what wakes workers."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._attempts: dict[str, Attempt] = {}
        #: Of jobs that other servers carry out, by id.
        self._elsewhere: dict[str, Elsewhere] = {}
        #: Running jobs that are to be cancelled: the wish may come before the attempt.
        self._unwanted: set[str] = set()
        self._wakers: list[Waker] = []

    @property
    def attempts(self) -> Sequence[Attempt]:
        """All attempts whose endings are not stored."""
        return tuple(self._attempts.values())

    def of(self, job_id: str) -> Attempt | None:
        """The attempt at a job until its ending is stored; None while nobody works on it."""
        return self._attempts.get(job_id)

    def elsewhere(self, job_id: str) -> Elsewhere | None:
        """What is known of an attempt on another server; None when nothing is."""
        return self._elsewhere.get(job_id)

    def reached_elsewhere(self, event: JobProgressed | JobPreviewed) -> None:
        """Note and tell how far another server is with a job."""
        known = self._elsewhere.setdefault(event.job_id, Elsewhere())
        if isinstance(event, JobProgressed):
            known.progress = event.progress
        else:
            known.preview = event
        self._broadcast.deliver(event)

    def changed_elsewhere(self, job: Job, before: JobState | None) -> None:
        """What a change of state by another server brings with it; ``before`` is None for a new job."""
        self._elsewhere.pop(job.id, None)
        if job.is_finished:
            self._unwanted.discard(job.id)
        self._broadcast.deliver(JobChanged(job, before))
        if job.state is JobState.PENDING:
            self._wake_for(job)

    def begin(self, attempt: Attempt) -> None:
        """Let an attempt be known, and cancelled."""
        self.take_over(attempt)
        self.changed(attempt.job, JobState.PENDING)

    def take_over(self, attempt: Attempt) -> None:
        """Let an attempt be known here that was begun elsewhere."""
        job = attempt.job
        self._attempts[job.id] = attempt
        self._elsewhere.pop(job.id, None)
        if job.id in self._unwanted or job.cancel_requested_at is not None:
            attempt.cancel()

    def abandon(self, attempt: Attempt) -> None:
        """Forget an attempt whose job is somebody else's now."""
        if self._attempts.get(attempt.job.id) is attempt:
            del self._attempts[attempt.job.id]

    def cancel(self, job_id: str) -> None:
        """End the attempt at a job soon, or as soon as it begins, on whichever server."""
        self.cancel_here(job_id)
        if job_id not in self._attempts:
            self._broadcast.publish(CancelWanted(job_id))

    def cancel_here(self, job_id: str) -> None:
        """End the attempt at a job soon, or as soon as it begins, if it is this server's."""
        self._unwanted.add(job_id)
        if job_id in self._attempts:
            self._attempts[job_id].cancel()

    def changed(self, job: Job, before: JobState | None) -> None:
        """What every stored change of state brings with it; ``before`` is None for a new job."""
        if job.state is not JobState.RUNNING:
            self._attempts.pop(job.id, None)
        if job.is_finished:
            self._unwanted.discard(job.id)
            self._elsewhere.pop(job.id, None)
            log.info("job ended", job_id=job.id, state=job.state, seconds=job.seconds)
        self._broadcast.publish(JobChanged(job, before))
        if job.state is JobState.PENDING:
            self._wake_for(job)

    def new_waker(self, types: Collection[JobType], prefers: Callable[[], Collection[str]] = tuple) -> Waker:
        """What is set for a worker whenever a job of these types may have become claimable; it ``prefers`` some models."""
        waker = Waker(types, prefers)
        self._wakers.append(waker)
        return waker

    def forget_waker(self, waker: Waker) -> None:
        """The worker has gone."""
        self._wakers.remove(waker)

    def wake_workers(self) -> None:
        """Let every worker look at the queue."""
        for waker in self._wakers:
            waker.set()

    def _wake_for(self, job: Job) -> None:
        """Let workers look that may take a job: one that waits with its model loaded, or all."""
        able = [waker for waker in self._wakers if job.type in waker.types]
        best = next((waker for waker in able if job.model_id and waker.is_best_for(job.model_id)), None)
        for waker in able if best is None else (best,):
            waker.set()
