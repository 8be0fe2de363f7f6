"""What every dialect, the pages and the command line call: submit, look at, wait for, cancel and retry jobs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from sdrest.core.errors import Conflict, Forbidden, NotFound, SdrestError
from sdrest.core.events import Event, JobChanged, JobPreviewed, JobProgressed, JobRemoved, OutputMade
from sdrest.core.job import Job, JobState, JobType, Output, Progress
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.intake import Intake
from sdrest.jobs.store import JobFilter, JobStore
from sdrest.jobs.submission import Prepared, Submission

log = structlog.get_logger(__name__)

_PAUSED_KEY: Final = "queue.paused"
_MAX_INTERRUPTIONS: Final = 30
#: More than there are workers.
_MAX_RUNNING: Final = 1000


class JobService:
    """The one way into and around the queue."""

    def __init__(
        self,
        store: JobStore,
        broadcast: Broadcast,
        files: JobFiles,
        intake: Intake,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self.broadcast = broadcast
        self._files = files
        self._intake = intake
        self._clock = clock
        self._progress: dict[str, Progress] = {}
        self._previews: dict[str, JobPreviewed] = {}
        self._wakers: list[tuple[Collection[JobType], asyncio.Event]] = []
        #: How running jobs are cancelled, and the running jobs that are to be.
        self._cancellers: dict[str, Callable[[], None]] = {}
        self._unwanted: set[str] = set()
        self.paused = False

    async def restore(self) -> None:
        """At start: bring back the queue as it was; jobs left running are queued again, and files that belong to no job go.

        An abrupt end of the server uses up none of the job's attempts: the engine runs in a process of its own, so the server's
        end is hardly ever the job's doing. Only a job that was running at thirty such ends fails.
        """
        self.paused = bool(await self.store.get_value(_PAUSED_KEY))
        # Files first: who is killed here as well finds the jobs running once more.
        for job in await self.store.find(JobFilter(states=(JobState.RUNNING,), limit=_MAX_RUNNING)):
            await asyncio.to_thread(self._files.trim, job)
        await self.store.recover(self._clock(), _MAX_INTERRUPTIONS)
        spooled = await asyncio.to_thread(self._files.spooled)
        stored = await self.store.known(spooled)
        await asyncio.to_thread(self._files.sweep, stored=stored, gone=set(spooled) - stored)
        self.wake_workers()

    # ------------------------------------------------------------------ submit

    async def submit(self, submission: Submission) -> Job:
        """Check, complete and store a job; it is on disk when this returns.

        With an idempotency key that its principal has used before, the earlier job is returned.

        Raises:
            Forbidden, InvalidInput, ModelNotFound, ModelUnusable, InsufficientMemory, Unsupported, InsufficientStorage, QueueFull.
        """
        job, is_new = await self._intake.take(submission)
        if is_new:
            log.info("job accepted", job_id=job.id, type=job.type, model=job.model_name)
            self._added(job)
        return job

    async def submit_task(
        self, job_type: JobType, parameters: dict[str, Any], principal: Principal, **fields: Any
    ) -> Job:
        """Store a job that makes no pictures (hash, convert, download …); its parameters are checked already."""
        job = await self._intake.take_task(job_type, parameters, principal, **fields)
        self._added(job)
        return job

    async def check(self, submission: Submission) -> Prepared:
        """What :meth:`submit` would store. Nothing is stored.

        Raises:
            InvalidInput, ModelNotFound, ModelUnusable, InsufficientMemory, InsufficientStorage, Unsupported: as :meth:`submit`.
        """
        return await self._intake.check(submission)

    def _added(self, job: Job) -> None:
        """What every new job brings with it."""
        self.broadcast.publish(JobChanged(job, None))
        self.wake_workers(job.type)

    # ------------------------------------------------------------------ look

    async def get(self, job_id: str, principal: Principal) -> Job:
        """The job.

        Raises:
            NotFound: there is none of that id that the principal may see.
        """
        job = await self.store.get(job_id)
        if job is None or not principal.owns(job.principal):
            raise NotFound(f"no job {job_id}")
        return job

    async def by_key(self, key: str, principal: Principal) -> Job | None:
        """The principal's own job that was submitted with an idempotency key."""
        return await self.store.by_key(principal.name, key)

    async def find(self, wanted: JobFilter, principal: Principal) -> Sequence[Job]:
        """The jobs that match and that the principal may see."""
        return await self.store.find(self._visible(wanted, principal))

    async def count(self, wanted: JobFilter, principal: Principal) -> int:
        """How many jobs match that the principal may see."""
        return await self.store.count(self._visible(wanted, principal))

    async def counts(self, principal: Principal) -> Mapping[JobState, int]:
        """Jobs by state that the principal may see."""
        if not principal.may(Permission.VIEW):
            return dict.fromkeys(JobState, 0)
        return await self.store.counts(None if principal.may(Permission.MANAGE_QUEUE) else principal.name)

    async def queue_length(self) -> int:
        """How many jobs wait or run, whoever's they are."""
        counts = await self.store.counts()
        return counts[JobState.PENDING] + counts[JobState.RUNNING]

    @staticmethod
    def _visible(wanted: JobFilter, principal: Principal) -> JobFilter:
        return (
            wanted if principal.may(Permission.MANAGE_QUEUE) else dataclasses.replace(wanted, principal=principal.name)
        )

    def progress(self, job: Job) -> Progress:
        """How far the job is."""
        if job.state is JobState.COMPLETED:
            return dataclasses.replace(self._progress.get(job.id, Progress()), fraction=1.0, eta_seconds=None)
        return self._progress.get(job.id, Progress())

    def preview(self, job: Job) -> JobPreviewed | None:
        """The newest preview of a running job, or None."""
        return self._previews.get(job.id)

    async def wait(self, job_id: str, principal: Principal, timeout_seconds: float | None = None) -> Job:
        """The job after it has ended, or as it is when the time is over. Going away does not stop the job.

        Raises:
            NotFound: as :meth:`get`.
        """
        mine = self.broadcast.subscribe(
            lambda event: isinstance(event, JobChanged) and event.job.id == job_id and event.job.is_finished
        )
        try:
            job = await self.get(job_id, principal)
            if job.is_finished:
                return job
            async with asyncio.timeout(timeout_seconds):
                async for event in mine:
                    assert isinstance(event, JobChanged)
                    return event.job
        except TimeoutError:
            pass
        finally:
            self.broadcast.unsubscribe(mine)
        return await self.get(job_id, principal)

    # ------------------------------------------------------------------ change

    async def cancel(self, job_id: str, principal: Principal) -> Job:
        """Cancel a pending job at once, or ask a running one to end.

        Raises:
            NotFound: as :meth:`get`.
            Conflict: it has ended already.
        """
        before = await self.get(job_id, principal)
        if before.is_finished:
            raise Conflict(f"the job is {before.state} already", state=str(before.state))
        after = await self.store.request_cancel(job_id, self._clock())
        assert after is not None
        if after.state is JobState.CANCELLED and before.state is not JobState.CANCELLED:
            self._ended(after, before.state)
        elif after.state is JobState.RUNNING:
            self._unwanted.add(job_id)
            self._cancellers.get(job_id, lambda: None)()
        return after

    async def clear_pending(self, principal: Principal) -> int:
        """Cancel all pending jobs that are the principal's to cancel; how many there were."""
        owner = None if principal.may(Permission.MANAGE_QUEUE) else principal.name
        jobs = await self.store.clear_pending(self._clock(), owner)
        for job in jobs:
            self._ended(job, JobState.PENDING)
        return len(jobs)

    async def retry(self, job_id: str, principal: Principal) -> Job:
        """Queue an ended job again as a new job with the same parameters and seed.

        Raises:
            NotFound: as :meth:`get`.
            Conflict: it has not ended.
            Forbidden, QueueFull, InsufficientStorage: as :meth:`submit`.
        """
        old = await self.get(job_id, principal)
        if not old.is_finished:
            raise Conflict("only a job that has ended can be tried again", state=str(old.state))
        job = await self._intake.take_again(old, principal)
        self._added(job)
        return job

    async def prioritise(self, job_id: str, priority: int, principal: Principal) -> Job:
        """Change the priority of a pending job.

        Raises:
            Forbidden: the principal may not manage the queue.
            NotFound, Conflict: no such job, or it is not pending.
        """
        if not principal.may(Permission.MANAGE_QUEUE):
            raise Forbidden("changing the order needs the permission 'manage_queue'")
        before = await self.get(job_id, principal)
        job = await self.store.prioritise(job_id, priority)
        if job is None:
            raise Conflict(f"the job is {before.state}, not pending", state=str(before.state))
        self.broadcast.publish(JobChanged(job, before.state))
        return job

    async def set_paused(self, paused: bool, principal: Principal) -> None:
        """Stop or go on taking jobs from the queue; the running job goes on. Survives a restart.

        Raises:
            Forbidden: the principal may not manage the queue.
        """
        if not principal.may(Permission.MANAGE_QUEUE):
            raise Forbidden("pausing needs the permission 'manage_queue'")
        await self.store.set_value(_PAUSED_KEY, paused)
        self.paused = paused
        self.wake_workers()

    async def remove(self, job_id: str, principal: Principal) -> Job:
        """Delete an ended job with all its files.

        Raises:
            NotFound: as :meth:`get`.
            Conflict: it has not ended.
        """
        job = await self.get(job_id, principal)
        if not job.is_finished:
            raise Conflict(f"the job is {job.state}; cancel it first", state=str(job.state))
        await asyncio.to_thread(self._files.doubt, job_id)
        try:
            removed = await self.store.remove(job_id)
        except SdrestError:
            await asyncio.to_thread(self._files.keep, job_id)
            raise
        await asyncio.to_thread(self._files.remove, job_id)
        if not removed:
            raise NotFound(f"no job {job_id}")  # somebody else was quicker
        self._progress.pop(job_id, None)
        self.broadcast.publish(JobRemoved(job_id, job.principal))
        return job

    # ------------------------------------------------------------------ called by workers

    def new_waker(self, types: Collection[JobType]) -> asyncio.Event:
        """An event of the worker's own that is set whenever a job of these types may have become claimable."""
        waker = asyncio.Event()
        self._wakers.append((types, waker))
        return waker

    def wake_workers(self, job_type: JobType | None = None) -> None:
        """Let every worker look at the queue, or those that take jobs of one type."""
        for types, waker in self._wakers:
            if job_type is None or job_type in types:
                waker.set()

    def attend(self, job: Job, cancel: Callable[[], None]) -> bool:
        """Call ``cancel`` when the running job is to be cancelled; False when it is already."""
        self._cancellers[job.id] = cancel
        return job.id not in self._unwanted

    def report_progress(self, job: Job, progress: Progress) -> None:
        """Note and publish how far a running job is."""
        self._progress[job.id] = progress
        self.broadcast.publish(JobProgressed(job.id, job.principal, progress))

    async def report_output(self, job: Job, output: Output) -> None:
        """Note and publish a file that a running job has finished. What cannot be noted now is with the ending."""
        try:
            await self.store.note_output(job.id, job.attempt, output)
        except SdrestError as error:
            log.error("cannot note an output", file=output.file, problem=error.message)
        self.broadcast.publish(OutputMade(job.id, job.principal, output))

    def report(self, event: Event) -> None:
        """Publish any other event of a running job; its newest preview is kept."""
        if isinstance(event, JobPreviewed):
            self._previews[event.job_id] = event
        self.broadcast.publish(event)

    def report_state(self, job: Job, previous: JobState) -> None:
        """Publish a stored change of state."""
        if job.is_finished:
            self._ended(job, previous)
        else:
            self._progress.pop(job.id, None)  # a new attempt begins at nothing
            if job.state is JobState.PENDING:
                self._cancellers.pop(job.id, None)
            self.broadcast.publish(JobChanged(job, previous))

    def _ended(self, job: Job, previous: JobState) -> None:
        """What every ending, of whatever kind, brings with it."""
        self._progress.pop(job.id, None)
        self._previews.pop(job.id, None)
        self._cancellers.pop(job.id, None)
        self._unwanted.discard(job.id)
        log.info("job ended", job_id=job.id, state=job.state, seconds=job.seconds)
        self.broadcast.publish(JobChanged(job, previous))
