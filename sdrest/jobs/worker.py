"""Taking jobs from the queue and bringing each to its one end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from sdrest.core.background import Background
from sdrest.core.errors import Cancelled, EngineDied, SdrestError, Unavailable
from sdrest.core.events import Event
from sdrest.core.job import Failure, Job, JobState, JobType, Output, Progress, with_output
from sdrest.jobs.service import JobService
from sdrest.jobs.store import Ending

log = structlog.get_logger(__name__)

_LEASE_SECONDS: Final = 60.0
_RETRY_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """What there is to say of a successful attempt beside its outputs."""

    seconds: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job, as its executor sees it."""

    job: Job
    progress: Callable[[Progress], None]
    publish: Callable[[Event], None]
    #: To be called with each output as soon as its file is whole: from then on it is the job's, however the attempt ends.
    made: Callable[[Output], Awaitable[None]]


class Executor(Protocol):
    """Carries out jobs of some types."""

    async def execute(self, attempt: Attempt) -> Result:
        """Do the work.

        Raises:
            Cancelled: :meth:`cancel` was called for it.
            EngineDied: the engine ended under it; the attempt may be repeated.
            SdrestError: it failed for good.
        """
        ...

    def cancel(self, job_id: str) -> None:
        """Make the running :meth:`execute` of that job end soon with ``Cancelled``."""
        ...


class Worker:
    """Runs one job at a time of the types it has executors for."""

    def __init__(
        self,
        name: str,
        service: JobService,
        executors: Mapping[JobType, Executor],
        *,
        max_attempts: int,
        preferred_models: Callable[[], Collection[str]] = tuple,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self._service = service
        self._executors = executors
        self._max_attempts = max_attempts
        self._preferred_models = preferred_models
        self._clock = clock
        self._waker = service.new_waker(executors.keys())
        #: Takes jobs. Stopped, it gives a running job back to the queue with its attempt not counted.
        self.loop = Background(f"worker-{name}", self._run)
        #: The job being worked on.
        self.current: Job | None = None

    @property
    def types(self) -> Collection[JobType]:
        """The job types it takes."""
        return self._executors.keys()

    async def _run(self) -> None:
        while True:
            self._waker.clear()
            try:
                job = None if self._service.paused else await self._claim()
            except Unavailable as error:  # a full or locked disk: the queue waits, it does not end
                log.error("cannot take a job", problem=error.message)
                await asyncio.sleep(_RETRY_PAUSE_SECONDS)
                continue
            if job is None:
                await self._waker.wait()
                continue
            self.current = job
            try:
                await self._work(job)
            finally:
                self.current = None

    async def _claim(self) -> Job | None:
        return await self._service.store.claim(
            self.types,
            now=self._clock(),
            lease_seconds=_LEASE_SECONDS,
            worker=self.name,
            preferred_models=self._preferred_models(),
        )

    async def _work(self, job: Job) -> None:
        """One attempt, from claim to stored ending."""
        structlog.contextvars.bind_contextvars(job_id=job.id)
        self._service.report_state(job, JobState.PENDING)
        lease = asyncio.create_task(self._keep_lease(job), name=f"lease-{job.id}")
        outputs = job.outputs

        async def made(output: Output) -> None:
            nonlocal outputs
            outputs = with_output(outputs, output)
            await self._service.report_output(job, output)

        attempt = Attempt(job, partial(self._service.report_progress, job), self._service.report, made)
        try:
            ending = await self._attempt(attempt)
        except asyncio.CancelledError:
            lease.cancel()
            await self._hand_back(job, outputs)
            raise
        finally:
            lease.cancel()
            structlog.contextvars.unbind_contextvars("job_id")
        await self._end(job, ending, outputs)

    async def _attempt(self, attempt: Attempt) -> Ending | None:
        """The ending of an attempt, outputs apart; None when the job is to be tried again."""
        job = attempt.job
        executor = self._executors[job.type]
        started_at = self._clock()
        try:
            if not self._service.attend(job, partial(executor.cancel, job.id)):
                raise Cancelled
            result = await executor.execute(attempt)
        except Cancelled:
            return Ending(state=JobState.CANCELLED, finished_at=self._clock(), warnings=job.warnings)
        except EngineDied as error:
            log.warning("engine died under a job", attempt=job.attempt, last_words=error.log_tail[-3:])
            return None if job.attempt - job.interruptions < self._max_attempts else self._failed(job, error)
        except SdrestError as error:
            return self._failed(job, error)
        except Exception as error:
            log.exception("a job failed unexpectedly")
            return self._failed(job, SdrestError(f"internal error: {type(error).__name__}"))
        seconds = result.seconds if result.seconds is not None else (self._clock() - started_at).total_seconds()
        return Ending(
            state=JobState.COMPLETED,
            finished_at=self._clock(),
            seconds=seconds,
            warnings=(*job.warnings, *result.warnings),
        )

    def _failed(self, job: Job, error: SdrestError) -> Ending:
        log.info("job failed", slug=error.slug, message=error.message)
        failure = Failure(slug=error.slug, message=error.message, log_tail=error.log_tail)
        return Ending(state=JobState.FAILED, finished_at=self._clock(), failure=failure, warnings=job.warnings)

    async def _end(self, job: Job, ending: Ending | None, outputs: tuple[Output, ...]) -> None:
        """Store the ending; a full disk delays it, nothing loses it."""
        while True:
            try:
                if ending is None:
                    stored = await self._release(job, outputs, count_attempt=True)
                else:
                    ending = dataclasses.replace(ending, outputs=outputs)
                    stored = await self._service.store.finish(job.id, job.attempt, ending)
            except SdrestError as error:
                log.error("cannot store the ending of a job", problem=error.message)
                await asyncio.sleep(_RETRY_PAUSE_SECONDS)
                continue
            break
        if stored is not None:
            self._service.report_state(stored, JobState.RUNNING)
            if stored.state is JobState.PENDING:
                self._service.wake_workers(job.type)

    async def _hand_back(self, job: Job, outputs: tuple[Output, ...]) -> None:
        """Put the job back because the server stops. Where that cannot be stored, the next start finds it running."""
        try:
            stored = await self._release(job, outputs, count_attempt=False)
        except SdrestError as error:
            log.error("cannot put a job back", problem=error.message)
            return
        if stored is not None:
            self._service.report_state(stored, JobState.RUNNING)

    async def _release(self, job: Job, outputs: tuple[Output, ...], *, count_attempt: bool) -> Job | None:
        return await self._service.store.release(
            job.id, job.attempt, now=self._clock(), count_attempt=count_attempt, outputs=outputs
        )

    async def _keep_lease(self, job: Job) -> None:
        while True:
            await asyncio.sleep(_LEASE_SECONDS / 3)
            with contextlib.suppress(SdrestError):
                await self._service.store.renew(
                    job.id, job.attempt, until=self._clock() + timedelta(seconds=_LEASE_SECONDS)
                )
