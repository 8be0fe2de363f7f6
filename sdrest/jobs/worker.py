"""Taking jobs from the queue and bringing each to its one end."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Protocol

import structlog

from sdrest.core.background import Background
from sdrest.core.errors import (
    DISK_FULL,
    Cancelled,
    EngineDied,
    EngineUnavailable,
    InsufficientMemory,
    InsufficientStorage,
    SdrestError,
)
from sdrest.core.job import Failure, Job, JobState, JobType
from sdrest.jobs.chains import Chains
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.store import ANY_JOB, LEASE_SECONDS, Ending, Reach, Refusal

log = structlog.get_logger(__name__)

#: Name of the worker that carries out what needs the engine.
ENGINE_WORKER: Final = "engine"
_RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """What there is to say of a successful attempt beside its outputs."""

    seconds: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """An attempt that ended nothing: the job goes back to its place in the queue."""

    #: Whether it used up one of the job's attempts.
    counts: bool
    #: Why another engine is to carry it out.
    refusal: Refusal | None = None


class Refused(SdrestError):
    """This engine cannot carry out the job, another one may; where there is none, the job waits, or fails of ``alone``."""

    slug = "refused"

    def __init__(self, message: str, *, alone: SdrestError | None = None) -> None:
        super().__init__(message)
        self.alone = alone


class Executor(Protocol):
    """Carries out jobs of some types."""

    async def execute(self, attempt: Attempt) -> Result:
        """Do the work.

        Raises:
            Cancelled: the attempt was cancelled.
            EngineDied: the engine ended under it; the attempt may be repeated.
            EngineUnavailable: nothing was done, for want of an engine; the job waits.
            Refused: nothing was done, and would not be at another try here.
            InsufficientMemory: this engine has too little; one that has more is tried, where there is any.
            SdrestError: it failed for good.
        """
        ...


def _everything() -> Reach:
    return ANY_JOB


def _nobody(_job: Job, _more_than: int) -> bool:
    return False


async def _at_once() -> None:
    """What a worker waits for that needs nothing."""


class Worker:
    """Runs one job at a time of the types it has executors for, and begins the next while what the last one made is written.

    Args:
        name: What it is called in logs and leases.
        service: Where jobs come from.
        executors: Who carries out the jobs of each type.
        max_attempts: How often a job is begun under which the engine dies.
        ready: Returns when jobs can be worked on; none is taken before.
        preferred_models: Ids of the models whose jobs may go first.
        reach: Which jobs it can carry out.
        is_elsewhere: Whether another engine can carry out a job, with more memory than so many bytes.
        lease_seconds: How long a job is the worker's without a renewal (see :class:`sdrest.jobs.leases.Leases`).
        retry_seconds: Pause after the store could not be read or written.
        clock: The time; the queue's when not given.
    """

    def __init__(
        self,
        name: str,
        service: JobService,
        executors: Mapping[JobType, Executor],
        *,
        max_attempts: int,
        ready: Callable[[], Awaitable[None]] = _at_once,
        preferred_models: Callable[[], Collection[str]] = tuple,
        reach: Callable[[], Reach] = _everything,
        is_elsewhere: Callable[[Job, int], bool] = _nobody,
        lease_seconds: float = LEASE_SECONDS,
        retry_seconds: float = _RETRY_SECONDS,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.name = name
        self._service = service
        self._executors = executors
        self._max_attempts = max_attempts
        self._ready = ready
        self._preferred_models = preferred_models
        self._reach = reach
        self._is_elsewhere = is_elsewhere
        self._lease_seconds = lease_seconds
        self._retry_seconds = retry_seconds
        self._clock = clock or service.clock
        self._chains = Chains(service.store, service.files)
        self._waker = service.running.new_waker(executors.keys(), preferred_models)
        #: Takes jobs. Stopped, it gives a running job back to the queue with its attempt not counted.
        self.loop = Background(f"worker-{name}", self._run)
        #: What is worked on: the last one, and the one before it while what that made is written.
        self._attempts: list[Attempt] = []
        self._is_retiring = False

    async def retire(self) -> None:
        """Take no jobs any more; returns when the one at hand has ended."""
        self._is_retiring = True
        if not self._attempts:
            await self.loop.stop()
        else:
            self._waker.set()
            await self.loop.ended()
        self._service.running.forget_waker(self._waker)

    @property
    def current(self) -> Job | None:
        """The job being worked on."""
        return self._attempts[-1].job if self._attempts else None

    @property
    def types(self) -> Collection[JobType]:
        """The job types it takes."""
        return self._executors.keys()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as attempts:  # stopped, it ends them all
            before: asyncio.Task[None] | None = None
            while not self._is_retiring:
                await self._ready()
                self._waker.clear()
                try:
                    job = await self._claim()
                except SdrestError as error:  # a full or locked disk: the queue waits, it does not end
                    log.error("cannot take a job", problem=error.message)
                    await asyncio.sleep(self._retry_seconds)
                    continue
                if job is None:
                    await self._waker.wait()
                    continue
                attempt = self._attempt_at(job)
                self._service.running.begin(attempt)
                self._attempts.append(attempt)
                work = attempts.create_task(self._carry_out(attempt), name=f"work-{job.id}")
                # What one job has made is written beside the work on the next one, not on more.
                if before is not None:
                    await asyncio.wait({before})
                await attempt.until_free()
                before = work

    async def _claim(self) -> Job | None:
        return await self._service.store.claim(
            self.types,
            now=self._clock(),
            lease_seconds=self._lease_seconds,
            worker=self.name,
            server=self._service.server,
            preferred_models=self._preferred_models(),
            reach=self._reach(),
        )

    async def go_on(self, job: Job) -> None:
        """Bring a job to its end whose attempt goes on and whose lease this server has taken over, beside all others."""
        attempt = self._attempt_at(job)
        self._service.running.take_over(attempt)
        await self._work(attempt)

    def _attempt_at(self, job: Job) -> Attempt:
        service = self._service
        return Attempt(job, service.store, service.broadcast, service.files, service.server)

    async def _carry_out(self, attempt: Attempt) -> None:
        try:
            await self._work(attempt)
        finally:
            self._attempts.remove(attempt)
            attempt.free_worker()

    async def _work(self, attempt: Attempt) -> None:
        """One attempt, from its begin to its stored ending."""
        job = attempt.job
        structlog.contextvars.bind_contextvars(job_id=job.id)
        working = asyncio.create_task(self._attempt(attempt), name=f"attempt-{job.id}")
        attempt.on_cancel(working.cancel)
        try:
            ending = await working
        except asyncio.CancelledError:
            if _is_stopping():
                await self._hand_back(attempt)
                raise
            ending = (
                self._cancelled(job)
                if attempt.is_cancelled
                else self._failed(job, SdrestError("internal error: the work was cancelled from within"))
            )
        if attempt.is_lost:
            log.warning("a job was lost to somebody else: its attempt has ended", job_id=job.id)
            await self._abandon(attempt)
        else:
            await self._end(attempt, ending)

    async def _attempt(self, attempt: Attempt) -> Ending | Again:
        """How an attempt ended, outputs apart."""
        job = attempt.job
        started_at = self._clock()
        try:
            await self._chains.bring(job)
            result = await self._executors[job.type].execute(attempt)
        except Cancelled:
            return self._cancelled(job)
        except EngineDied as error:
            log.warning("engine died under a job", attempt=job.attempt, last_words=error.log_tail[-3:])
            return (
                Again(counts=True) if job.attempt - job.interruptions < self._max_attempts else self._failed(job, error)
            )
        except (Refused, InsufficientMemory) as error:
            return self._refused(job, error)
        except EngineUnavailable as error:
            log.info("a job goes back: no engine", problem=error.message)
            return Again(counts=False)
        except SdrestError as error:
            return self._failed(job, error)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                return self._failed(job, InsufficientStorage("the disk is full: there is no room for the job's files"))
            log.exception("a job failed unexpectedly")
            return self._failed(job, SdrestError(f"internal error: {type(error).__name__}"))
        seconds = result.seconds if result.seconds is not None else (self._clock() - started_at).total_seconds()
        return Ending(
            state=JobState.COMPLETED,
            finished_at=self._clock(),
            seconds=seconds,
            warnings=(*job.warnings, *result.warnings),
        )

    def _refused(self, job: Job, error: Refused | InsufficientMemory) -> Ending | Again:
        """What becomes of a job that this engine cannot carry out: for want of memory, only one that has more may get it."""
        if isinstance(error, Refused):
            if error.alone is not None and not self._is_elsewhere(job, -1):
                return self._failed(job, error.alone)
            refusal = Refusal(reason=error.message)
        else:
            room = self._reach().memory_bytes
            if room is None or not self._is_elsewhere(job, room):
                return self._failed(job, error)
            reason = f"{self.name} has too little memory, one with more was tried: {error.message}"
            refusal = Refusal(reason=reason, memory_bytes=room + 1)
        log.info("a job goes back: another engine is to carry it out", problem=error.message)
        return Again(counts=False, refusal=refusal)

    def _cancelled(self, job: Job) -> Ending:
        return Ending(state=JobState.CANCELLED, finished_at=self._clock(), warnings=job.warnings)

    def _failed(self, job: Job, error: SdrestError) -> Ending:
        log.info("job failed", slug=error.slug, message=error.message)
        failure = Failure(slug=error.slug, message=error.message, log_tail=error.log_tail)
        return Ending(state=JobState.FAILED, finished_at=self._clock(), failure=failure, warnings=job.warnings)

    async def _end(self, attempt: Attempt, ending: Ending | Again) -> None:
        """Store the ending; a full disk delays it, nothing loses it."""
        job = attempt.job
        while True:
            try:
                if isinstance(ending, Again):
                    stored = await self._release(attempt, count_attempt=ending.counts, refusal=ending.refusal)
                else:
                    ending = dataclasses.replace(ending, outputs=attempt.outputs)
                    stored = await self._service.store.finish(
                        job.id, job.lease_id, ending, self._settle(attempt), server=self._service.server
                    )
            except SdrestError as error:
                log.error("cannot store the ending of a job", problem=error.message)
            except Exception:
                log.exception("cannot store the ending of a job")
            else:
                await self._tell(attempt, stored)
                return
            await asyncio.sleep(self._retry_seconds)

    async def _hand_back(self, attempt: Attempt) -> None:
        """Put the job back because the server stops. Where that cannot be stored, the next start finds it running."""
        try:
            stored = await self._release(attempt, count_attempt=False)
        except SdrestError as error:
            log.error("cannot put a job back", problem=error.message)
        else:
            await self._tell(attempt, stored)

    async def _release(self, attempt: Attempt, *, count_attempt: bool, refusal: Refusal | None = None) -> Job | None:
        job = attempt.job
        return await self._service.store.release(
            job.id,
            job.lease_id,
            now=self._clock(),
            count_attempt=count_attempt,
            outputs=attempt.outputs,
            place=self._settle(attempt),
            server=self._service.server,
            refusal=refusal,
        )

    def _settle(self, attempt: Attempt) -> Callable[[], None]:
        """What is to be done with the attempt's files when its end is stored."""
        return partial(self._service.files.settle, attempt.job, [output.file for output in attempt.outputs])

    async def _tell(self, attempt: Attempt, stored: Job | None) -> None:
        """Tell what became of the job, unless it was somebody else's by then."""
        if stored is None:
            await self._abandon(attempt)
        else:
            self._service.running.changed(stored, JobState.RUNNING)

    async def _abandon(self, attempt: Attempt) -> None:
        """Forget an attempt that is somebody else's, or whose job is; with its files, unless it goes on with them elsewhere."""
        self._service.running.abandon(attempt)
        try:
            job = await self._service.store.get(attempt.job.id)
        except SdrestError:  # whoever takes the job back removes them
            return
        if job is None or job.state is not JobState.RUNNING or job.lease_id != attempt.job.lease_id:
            await asyncio.to_thread(self._service.files.discard, attempt.job)


def _is_stopping() -> bool:
    """Whether the cancellation that was just caught is meant for the running task itself, not for what it waited for."""
    task = asyncio.current_task()
    return task is not None and bool(task.cancelling())
