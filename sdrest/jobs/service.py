"""What every dialect, the pages and the command line call: submit, look at, wait for, cancel and retry jobs."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from sdrest.core.errors import Conflict, Forbidden, NotFound, SdrestError
from sdrest.core.events import JobChanged, JobPreviewed, JobRemoved
from sdrest.core.files import existing
from sdrest.core.job import Job, JobState, JobType, Progress
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters, to_json
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.allowance import Allowances
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.running import RunningJobs
from sdrest.jobs.store import PAUSED_KEY, JobFilter, JobStore
from sdrest.jobs.submission import TABLES, Prepare, Submission, with_files

log = structlog.get_logger(__name__)

_MAX_INTERRUPTIONS: Final = 30
#: More than there are workers.
_MAX_RUNNING: Final = 100_000
#: Random seeds stay below 2³²: every client, also one with 32-bit or floating-point numbers, can send them back.
_SEED_BOUND: Final = 2**32
#: Work on the models themselves: for who may manage them.
_MANAGING: Final = frozenset({JobType.CONVERT, JobType.DOWNLOAD, JobType.LOAD, JobType.LOAD_TEST})


class JobService:
    """The one way into and around the queue.

    Args:
        store: Where the jobs are.
        broadcast: Who hears of them.
        files: Where their files are.
        prepare: Checks a submission and completes it.
        max_pending: How many jobs may wait.
        allowances: How much each principal may ask for.
        server: Name of this server where several share the store; empty where there is one.
        clock: The time.
    """

    def __init__(
        self,
        store: JobStore,
        broadcast: Broadcast,
        files: JobFiles,
        prepare: Prepare,
        *,
        max_pending: int,
        allowances: Allowances | None = None,
        server: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self.broadcast = broadcast
        self.running = RunningJobs(broadcast)
        #: What :meth:`submit` would store. Nothing is stored.
        self.check = prepare
        #: Where the files of jobs are.
        self.files = files
        self.server = server
        self._max_pending = max_pending
        self._allowances = allowances or Allowances()
        self._clock = clock

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
        await asyncio.to_thread(self.files.sweep, stored=stored, gone=set(spooled) - stored, leases=leases)
        self.running.wake_workers()

    async def recover(self, server: str | None = None) -> None:
        """Put running jobs back that nobody works on: those whose lease is over, and those that ``server`` had."""
        for job in await self.store.recover(self._clock(), _MAX_INTERRUPTIONS, server=server, tidy=self.files.trim):
            log.warning("a running job was nobody's any more", job_id=job.id, state=job.state)
            self.running.changed(job, JobState.RUNNING)

    # ------------------------------------------------------------------ submit

    async def submit(self, submission: Submission) -> Job:
        """Check, complete and store a job; it is on disk when this returns.

        With an idempotency key that its principal has used before, the earlier job is returned.

        Raises:
            Forbidden: the principal may not generate, or not so much, or not with this priority.
            InvalidInput, ModelNotFound, ModelUnusable, InsufficientMemory, InsufficientStorage, Unsupported, QueueFull.
        """
        principal = submission.principal
        _demand_permission(principal, submission.type)
        if submission.priority > 0 and not principal.may(Permission.MANAGE_QUEUE):
            raise Forbidden("a priority above 0 needs the permission 'manage_queue'")
        prepared = await self.check(submission)
        parameters, model = prepared.parameters, prepared.model
        enlarged = submission.pictures.get("image")
        allowance = self._allowances.of(principal)
        allowance.check(parameters, enlarged[0].size if enlarged else None)
        if isinstance(parameters, GenerationParameters) and parameters.inpaint.only_masked:
            allowance.check_size(*submission.pictures["init_image"][0].size, field="init_image")
        if isinstance(parameters, GenerationParameters) and parameters.seed == RANDOM_SEED:
            parameters = dataclasses.replace(parameters, seed=secrets.randbelow(_SEED_BOUND))
        job_id = str(uuid.uuid4())
        if submission.pictures:
            names = await asyncio.to_thread(self.files.store_inputs, job_id, submission.pictures)
            parameters = with_files(parameters, names)
        job = Job(
            id=job_id,
            type=submission.type,
            principal=principal.name,
            priority=submission.priority,
            parameters=to_json(parameters),
            model_id=model.id if model else "",
            model_name=model.name if model else "",
            created_at=self._clock(),
            idempotency_key=submission.idempotency_key,
            webhook_url=submission.webhook_url,
            origin=dict(submission.origin),
            warnings=(*submission.warnings, *prepared.warnings),
            result_key=prepared.result_key,
        )
        async with self._files_until_stored(job_id):
            stored = await self._add(await self._with_earlier_result(job), principal)
        if stored.id != job_id:
            await asyncio.to_thread(self.files.remove, job_id)
        elif stored.reused_from:
            await asyncio.to_thread(self.files.keep, job_id)
        return stored

    async def submit_task(
        self, job_type: JobType, parameters: dict[str, Any], principal: Principal, **fields: Any
    ) -> Job:
        """Store a job that makes no pictures (hash, convert, download …); its parameters are checked already.

        Raises:
            Forbidden: the principal may not have such work done.
            QueueFull: as the name says.
        """
        _demand_permission(principal, job_type)
        job = Job(
            id=str(uuid.uuid4()),
            type=job_type,
            principal=principal.name,
            parameters=parameters,
            created_at=self._clock(),
            **fields,
        )
        return await self._add(job, principal)

    async def retry(self, job_id: str, principal: Principal) -> Job:
        """Queue an ended job again as a new job with the same parameters, seed and input pictures.

        Raises:
            NotFound: as :meth:`get`.
            Conflict: it has not ended.
            Forbidden, QueueFull, InsufficientStorage: as :meth:`submit`.
        """
        old = await self.get(job_id, principal)
        if not old.is_finished:
            raise Conflict("only a job that has ended can be tried again", state=str(old.state))
        _demand_permission(principal, old.type)
        if (table := TABLES.get(old.type)) is not None:
            self._allowances.of(principal).check(msgspec.convert(old.parameters, table))
        new_id = str(uuid.uuid4())
        await asyncio.to_thread(self.files.share_inputs, old.id, new_id)
        job = dataclasses.replace(
            old,
            id=new_id,
            state=JobState.PENDING,
            # Somebody else may have raised it.
            priority=old.priority if principal.may(Permission.MANAGE_QUEUE) else min(0, old.priority),
            attempt=0,
            lease_id="",
            interruptions=0,
            created_at=self._clock(),
            started_at=None,
            finished_at=None,
            cancel_requested_at=None,
            seconds=None,
            outputs=(),
            failure=None,
            idempotency_key="",
            reused_from="",
        )
        async with self._files_until_stored(new_id):
            return await self._add(job, principal)

    async def _with_earlier_result(self, job: Job) -> Job:
        """``job``, complete, with the outputs of an earlier one of its principal; as it is when there is none, or no file of it.

        :meth:`JobFiles.keep` must be called when it is stored.
        """
        old = await self.store.by_result(job.principal, job.result_key) if job.result_key else None
        if old is None or not await asyncio.to_thread(self.files.share_outputs, old, job.id):
            return job
        now = self._clock()
        return dataclasses.replace(
            job,
            state=JobState.COMPLETED,
            started_at=now,
            finished_at=now,
            seconds=0.0,
            outputs=old.outputs,
            reused_from=old.reused_from or old.id,
        )

    @asynccontextmanager
    async def _files_until_stored(self, job_id: str) -> AsyncIterator[None]:
        """While a job is being stored whose files are there already: an error takes them away again.

        Who is cancelled cannot tell whether the job was stored, so then the files are left to the sweep of the next start.
        """
        try:
            yield
        except Exception:
            await asyncio.to_thread(self.files.remove, job_id)
            raise

    async def _add(self, job: Job, principal: Principal) -> Job:
        """Store a job within the principal's allowance; the job that its idempotency key was used for before, where it was."""
        allowance = self._allowances.of(principal)
        stored = await self.store.add(
            job, max_pending=self._max_pending, max_pending_of_principal=allowance.max_pending
        )
        if stored.id == job.id:
            log.info("job accepted", job_id=job.id, type=job.type, model=job.model_name)
            self.running.changed(stored, None)
        return stored

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
            NotFound: as :meth:`get`, or the job has no such picture.
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
        attempt = self.running.of(job.id)
        return attempt.progress if attempt else Progress()

    def preview(self, job: Job) -> JobPreviewed | None:
        """The newest preview of a running job, or None."""
        attempt = self.running.of(job.id)
        return attempt.preview if attempt else None

    def watch(self, job: Job) -> JobPreviewed | None:
        """The newest preview of a running job, or None. Where it makes none by itself, it does from now on."""
        attempt = self.running.of(job.id)
        if attempt is None:
            return None
        attempt.watch()
        return attempt.preview

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
            self.running.changed(after, before.state)
        elif after.state is JobState.RUNNING:
            self.running.cancel(job_id)
        return after

    async def clear_pending(self, principal: Principal) -> int:
        """Cancel all pending jobs that are the principal's to cancel; how many there were."""
        owner = None if principal.may(Permission.MANAGE_QUEUE) else principal.name
        jobs = await self.store.clear_pending(self._clock(), owner)
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


def _demand_permission(principal: Principal, job_type: JobType) -> None:
    needed = Permission.MANAGE_MODELS if job_type in _MANAGING else Permission.GENERATE
    if not principal.may(needed):
        raise Forbidden(f"{job_type} jobs need the permission '{needed}'", permission=str(needed))
