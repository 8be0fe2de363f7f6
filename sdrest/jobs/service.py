"""What every dialect, the pages and the command line call about jobs that are there: look, wait, cancel, reorder, remove."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from sdrest.core.errors import Conflict, Forbidden, NotFound, SdrestError
from sdrest.core.events import Event, JobChanged, JobPreviewed, JobRemoved, PreviewWanted, SkipWanted, ValuesChanged
from sdrest.core.files import existing
from sdrest.core.job import Job, JobState, Progress
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.events import Broadcast, Listener
from sdrest.jobs.files import JobFiles
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.running import RunningJobs
from sdrest.jobs.store import PAUSED_KEY, JobStore

log = structlog.get_logger(__name__)

_MAX_INTERRUPTIONS: Final = 30
#: More than there are workers.
_MAX_RUNNING: Final = 100_000
#: Where several servers share the folders, files that are younger may belong to a job that another one is about to store.
_SPARED_SECONDS: Final = 3600.0


class JobService:
    """The one way around the queue; :class:`sdrest.jobs.intake.Intake` is the one into it.

    Args:
        store: Where the jobs are.
        broadcast: Who hears of them.
        files: Where their files are.
        server: Name of this server where several share the store; empty where there is one.
        clock: The time.
    """

    def __init__(
        self,
        store: JobStore,
        broadcast: Broadcast,
        files: JobFiles,
        *,
        server: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self.broadcast = broadcast
        self.running = RunningJobs(broadcast)
        #: Where the files of jobs are.
        self.files = files
        self.server = server
        #: Lets jobs go on whenever one has ended that they waited for.
        self.followers = Listener("followers", broadcast, self._after, _is_ending)
        #: The time that all on the queue go by.
        self.clock = clock

    async def restore(self) -> None:
        """At start: bring back the queue as it was; jobs that this server left running are queued again, and files that belong to
        no job go.

        An abrupt end of the server uses up none of the job's attempts: the engine runs in a process of its own, so the server's
        end is hardly ever the job's doing. Only a job that was running at thirty such ends fails.
        """
        await self.recover(self.server)
        spooled = await asyncio.to_thread(self.files.spooled)
        stored = await self.store.known(spooled)
        running = await self.store.find(JobFilter(states=(JobState.RUNNING,), limit=_MAX_RUNNING))
        leases = {job.lease_id for job in running}
        await asyncio.to_thread(
            self.files.sweep,
            stored=stored,
            gone=set(spooled) - stored,
            leases=leases,
            spare_seconds=_SPARED_SECONDS if self.server else 0.0,
        )
        self.running.wake_workers()

    async def recover(self, server: str | None = None) -> None:
        """Put running jobs back that nobody works on: those whose lease is over, and those that ``server`` had."""
        for job in await self.store.recover(self.clock(), _MAX_INTERRUPTIONS, server=server, tidy=self.files.trim):
            log.warning("a running job was nobody's any more", job_id=job.id, state=job.state)
            self.running.changed(job, JobState.RUNNING)
        await self.follow()

    async def _after(self, _event: Event) -> None:
        await self.follow()

    async def follow(self) -> None:
        """Let jobs go on, or end, that waited for others which have ended."""
        for job in await self.store.follow(self.clock()):
            self.running.changed(job, JobState.PENDING)

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

    async def read_input(self, job_id: str, file: str, principal: Principal) -> bytes:
        """An input picture of a job, as a PNG file; the job's parameters name it.

        Raises:
            NotFound: as :meth:`get`, or the job has no such picture, or not yet.
        """
        job = await self.get(job_id, principal)
        return await asyncio.to_thread(lambda: existing(self.files.input_folder(job.id), file).read_bytes())

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
            return Progress(fraction=1.0)
        attempt = self.running.of(job.id) or self.running.elsewhere(job.id)
        return attempt.progress if attempt else Progress()

    def preview(self, job: Job) -> JobPreviewed | None:
        """The newest preview of a running job, or None."""
        # An attempt stays known for a moment after its ending is stored.
        attempt = self.running.of(job.id) or self.running.elsewhere(job.id) if job.state is JobState.RUNNING else None
        return attempt.preview if attempt else None

    def watch(self, job: Job) -> JobPreviewed | None:
        """The newest preview of a running job, or None. Where it makes none by itself, it does from now on."""
        attempt = self.running.of(job.id)
        if attempt is not None:
            attempt.watch()
        elif job.state is JobState.RUNNING:
            self.broadcast.publish(PreviewWanted(job.id))
        return self.preview(job)

    def skip(self, job: Job, picture: int) -> None:
        """Leave one picture (from 1) of a running job out, and go on with the next; when none is left, it is cancelled."""
        attempt = self.running.of(job.id)
        if attempt is not None:
            attempt.skip(picture)
        elif job.state is JobState.RUNNING:
            self.broadcast.publish(SkipWanted(job.id, picture))

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
        after = await self.store.request_cancel(job_id, self.clock())
        assert after is not None
        if after.state is JobState.CANCELLED and before.state is not JobState.CANCELLED:
            self.running.changed(after, before.state)
        elif after.state is JobState.RUNNING:
            self.running.cancel(job_id)
        return after

    async def clear_pending(self, principal: Principal) -> int:
        """Cancel all pending jobs that are the principal's to cancel; how many there were."""
        owner = None if principal.may(Permission.MANAGE_QUEUE) else principal.name
        jobs = await self.store.clear_pending(self.clock(), owner)
        for job in jobs:
            self.running.changed(job, JobState.PENDING)
        return len(jobs)

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
        self.running.changed(job, before.state)
        return job

    async def is_paused(self) -> bool:
        """Whether no jobs are taken from the queue."""
        return bool(await self.store.get_value(PAUSED_KEY))

    async def set_paused(self, paused: bool, principal: Principal) -> None:
        """Stop or go on taking jobs from the queue; the running jobs go on. Survives a restart.

        Raises:
            Forbidden: the principal may not manage the queue.
        """
        if not principal.may(Permission.MANAGE_QUEUE):
            raise Forbidden("pausing needs the permission 'manage_queue'")
        await self.store.set_value(PAUSED_KEY, paused)
        self.running.wake_workers()
        self.broadcast.publish(ValuesChanged())

    async def remove(self, job_id: str, principal: Principal) -> Job:
        """Delete an ended job with all its files.

        Raises:
            NotFound: as :meth:`get`.
            Conflict: it has not ended.
        """
        job = await self.get(job_id, principal)
        if not job.is_finished:
            raise Conflict(f"the job is {job.state}; cancel it first", state=str(job.state))
        await asyncio.to_thread(self.files.doubt, job_id)
        try:
            removed = await self.store.remove(job_id)
        except SdrestError:
            await asyncio.to_thread(self.files.keep, job_id)
            raise
        await asyncio.to_thread(self.files.remove, job_id)
        if not removed:
            raise NotFound(f"no job {job_id}")  # somebody else was quicker
        self.broadcast.publish(JobRemoved(job_id, job.principal))
        return job


def _is_ending(event: Event) -> bool:
    return isinstance(event, JobChanged) and event.job.is_finished
