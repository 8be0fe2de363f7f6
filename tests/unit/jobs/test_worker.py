"""A worker outlives every error of the store, of the engine and of the work itself, and each job comes to one end."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.background import Background
from sdrest.core.errors import Cancelled, EngineUnavailable, InsufficientStorage, Unavailable
from sdrest.core.events import JobPreviewed
from sdrest.core.job import Job, JobState, JobType, Progress
from sdrest.core.principal import ANYONE
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.leases import Leases
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.worker import Result, Worker
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sqlite.database import Database
from tests.stub_child import Behaviour
from tests.stub_engine import StubEngine

Work = Callable[[Attempt], Awaitable[Result]]


class Doing:
    """An executor that does with its n-th attempt what the n-th function says; the last one is for all others."""

    def __init__(self, *works: Work) -> None:
        self._works = works
        self.attempts: list[Job] = []

    async def execute(self, attempt: Attempt) -> Result:
        self.attempts.append(attempt.job)
        return await self._works[min(len(self.attempts), len(self._works)) - 1](attempt)


async def done(_attempt: Attempt) -> Result:
    return Result(seconds=0.5)


def raising(error: BaseException) -> Work:
    async def work(_attempt: Attempt) -> Result:
        raise error

    return work


class Refusing(SqlJobStore):
    """A store whose first claims fail."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.refusals: list[Exception] = []

    async def claim(self, *arguments: Any, **more: Any) -> Job | None:
        if self.refusals:
            raise self.refusals.pop(0)
        return await super().claim(*arguments, **more)


class Queue:
    """A queue on disk with its workers."""

    def __init__(self, store: Refusing, service: JobService) -> None:
        self.store = store
        self.service = service
        self.workers: list[Worker] = []
        self._numbers = itertools.count()

    def work(self, executor: Any, **more: Any) -> Background:
        """Start a worker."""
        values = {"max_attempts": 2, "retry_seconds": 0.01, **more}
        worker = Worker("engine", self.service, {JobType.LOAD: executor}, **values)
        worker.loop.start()
        self.workers.append(worker)
        return worker.loop

    async def add(self) -> str:
        """A new pending job."""
        job = Job(id=f"job-{next(self._numbers)}", type=JobType.LOAD, created_at=datetime.now(UTC))
        await self.store.add(job, max_pending=100)
        self.service.running.wake_workers()
        return job.id

    async def ended(self, job_id: str) -> Job:
        """The job after its end."""
        return await self.service.wait(job_id, ANYONE)

    async def until(self, job_id: str, state: JobState) -> Job:
        """The job as soon as it is in that state."""
        events = self.service.broadcast.subscribe()
        try:
            job = await self.service.get(job_id, ANYONE)
            while job.state is not state:
                await anext(aiter(events))
                job = await self.service.get(job_id, ANYONE)
            return job
        finally:
            self.service.broadcast.unsubscribe(events)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    database = Database(tmp_path / "queue.sqlite3")
    await database.open()
    store = Refusing(database)
    files = JobFiles(tmp_path / "output", tmp_path / "spool")
    queue = Queue(store, JobService(store, Broadcast(), files))
    yield queue
    for worker in queue.workers:
        await worker.loop.stop()
    await database.close()


async def test_a_job_is_taken_and_ended(queue: Queue) -> None:
    queue.work(Doing(done))
    job = await queue.ended(await queue.add())
    assert (job.state, job.attempt, job.seconds) == (JobState.COMPLETED, 1, 0.5)


async def test_a_disk_that_is_full_at_a_claim_delays_the_job(queue: Queue) -> None:
    queue.store.refusals = [InsufficientStorage("full"), InsufficientStorage("full"), Unavailable("locked")]
    loop = queue.work(Doing(done))
    job = await queue.ended(await queue.add())
    assert (job.state, loop.restarts) == (JobState.COMPLETED, 0)


async def test_what_nobody_thought_of_at_a_claim_restarts_the_worker(queue: Queue) -> None:
    queue.store.refusals = [KeyError("nobody thought of it")]
    loop = queue.work(Doing(done))
    job = await queue.ended(await queue.add())
    assert (job.state, loop.restarts, loop.last_error) == (JobState.COMPLETED, 1, "KeyError")


@pytest.mark.parametrize("error", [ValueError("odd"), asyncio.CancelledError()], ids=["any", "cancelled-within"])
async def test_what_the_work_raises_fails_the_job_alone(queue: Queue, error: BaseException) -> None:
    loop = queue.work(Doing(raising(error), done))
    first = await queue.ended(await queue.add())
    assert first.failure is not None
    assert (first.state, first.failure.slug) == (JobState.FAILED, "error")
    second = await queue.ended(await queue.add())
    assert (second.state, loop.restarts) == (JobState.COMPLETED, 0)


async def test_a_disk_that_is_full_under_the_work_is_told_as_that(queue: Queue) -> None:
    queue.work(Doing(raising(OSError(errno.ENOSPC, "No space left on device", "/var/lib/sdrest/spool/x.npy"))))
    job = await queue.ended(await queue.add())
    assert job.failure is not None
    assert (job.state, job.failure.slug) == (JobState.FAILED, "insufficient_storage")
    assert "/var" not in job.failure.message


async def test_an_engine_that_goes_away_hands_the_job_back_without_counting_the_attempt(queue: Queue) -> None:
    executor = Doing(*[raising(EngineUnavailable("no library"))] * 5, done)
    queue.work(executor)
    job = await queue.ended(await queue.add())
    assert (job.state, job.attempt, len(executor.attempts)) == (JobState.COMPLETED, 1, 6)


async def test_a_stopped_worker_hands_its_job_back(queue: Queue) -> None:
    begun = asyncio.Event()

    async def work(_attempt: Attempt) -> Result:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    loop = queue.work(Doing(work))
    job_id = await queue.add()
    await begun.wait()
    await loop.stop()
    job = await queue.service.get(job_id, ANYONE)
    assert (job.state, job.attempt) == (JobState.PENDING, 0)


class Writing:
    """Work whose pictures are made at once and then written, each until a test says so."""

    def __init__(self) -> None:
        self.written = [asyncio.Event() for _ in range(3)]
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self._number = itertools.count()

    async def execute(self, attempt: Attempt) -> Result:
        number = next(self._number)
        self.begun.put_nowait(number)
        attempt.free_worker()
        await self.written[number].wait()
        return Result()


async def test_the_next_job_begins_while_the_last_one_is_written_but_no_third(queue: Queue) -> None:
    writing = Writing()
    queue.work(writing)
    first, second, third = [await queue.add() for _ in range(3)]
    assert [await writing.begun.get() for _ in range(2)] == [0, 1]
    writing.written[1].set()
    assert (await queue.ended(second)).state is JobState.COMPLETED
    assert (await queue.service.get(third, ANYONE)).state is JobState.PENDING
    writing.written[0].set()
    assert (await queue.ended(first)).state is JobState.COMPLETED
    assert await writing.begun.get() == 2
    writing.written[2].set()
    assert (await queue.ended(third)).state is JobState.COMPLETED


async def test_a_stopped_worker_hands_back_what_is_written_too(queue: Queue) -> None:
    writing = Writing()
    loop = queue.work(writing)
    jobs = [await queue.add() for _ in range(2)]
    assert [await writing.begun.get() for _ in jobs] == [0, 1]
    await loop.stop()
    assert {(await queue.service.get(job, ANYONE)).state for job in jobs} == {JobState.PENDING}
    assert queue.workers[0].current is None


async def test_a_worker_that_retires_ends_what_it_writes(queue: Queue) -> None:
    writing = Writing()
    queue.work(writing)
    job = await queue.add()
    await writing.begun.get()
    retiring = asyncio.create_task(queue.workers[0].retire())
    writing.written[0].set()
    await retiring
    assert (await queue.service.get(job, ANYONE)).state is JobState.COMPLETED


async def for_ever(_attempt: Attempt) -> Result:
    await asyncio.Event().wait()
    raise AssertionError


async def test_work_that_says_nothing_of_cancelling_is_cancelled_as_a_task(queue: Queue) -> None:
    loop = queue.work(Doing(for_ever, done))
    job_id = await queue.add()
    await queue.until(job_id, JobState.RUNNING)
    await queue.service.cancel(job_id, ANYONE)
    assert (await queue.ended(job_id)).state is JobState.CANCELLED
    assert (await queue.ended(await queue.add())).state is JobState.COMPLETED
    assert loop.restarts == 0


async def test_work_is_cancelled_by_what_it_says_also_after_the_wish(queue: Queue) -> None:
    begun, wished, ending = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(attempt: Attempt) -> Result:
        attempt.on_cancel(wished.set)
        begun.set()
        await wished.wait()
        attempt.on_cancel(ending.set)  # a second part of the work begins
        await ending.wait()
        raise Cancelled

    queue.work(Doing(work))
    job_id = await queue.add()
    await begun.wait()
    await queue.service.cancel(job_id, ANYONE)
    assert (await queue.ended(job_id)).state is JobState.CANCELLED


async def test_a_wish_to_cancel_that_comes_before_the_attempt_is_heard(queue: Queue) -> None:
    job_id = await queue.add()
    claimed = await queue.store.claim([JobType.LOAD], now=datetime.now(UTC), lease_seconds=60, worker="engine")
    assert claimed is not None
    await queue.service.cancel(job_id, ANYONE)
    attempt = Attempt(claimed, queue.store, queue.service.broadcast, queue.service.files)
    queue.service.running.begin(attempt)
    assert attempt.is_cancelled


async def test_progress_and_preview_are_the_attempt_s(queue: Queue) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work(attempt: Attempt) -> Result:
        attempt.reached(Progress(step=3, steps=4, fraction=0.75))
        attempt.publish(JobPreviewed(attempt.job.id, attempt.job.principal, 3, 8, 8, b"jpeg"))
        begun.set()
        await go_on.wait()
        return Result()

    queue.work(Doing(work))
    job_id = await queue.add()
    await begun.wait()
    running = await queue.service.get(job_id, ANYONE)
    assert queue.service.progress(running).step == 3
    preview = queue.service.preview(running)
    assert preview is not None
    assert preview.jpeg == b"jpeg"
    go_on.set()
    ended = await queue.ended(job_id)
    assert queue.service.progress(ended) == Progress(fraction=1.0)
    assert queue.service.preview(ended) is None


async def test_a_lost_lease_ends_the_attempt_and_writes_no_ending(queue: Queue) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def lingering(_attempt: Attempt) -> Result:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    executor = Doing(lingering, done)
    loop = queue.work(executor)
    job_id = await queue.add()
    await begun.wait()
    await queue.store.release(
        job_id, executor.attempts[0].lease_id, now=datetime.now(UTC), count_attempt=True, outputs=()
    )  # as whoever takes the job over would
    await Leases(queue.service).look()
    await ended.wait()
    queue.service.running.wake_workers()
    job = await queue.ended(job_id)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert [item.attempt for item in executor.attempts] == [1, 2]
    assert loop.restarts == 0


class Loading:
    """Loads a model in an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def execute(self, attempt: Attempt) -> Result:
        attempt.on_cancel(partial(self._engine.cancel, attempt.job.id))
        context = messages.ContextSpec(files=(("model", "m.gguf"),))
        await self._engine.run(messages.Load(task=attempt.job.id, context=context), lambda _report: None)
        return Result()


@pytest.fixture
async def engine(stub_engine: StubEngine) -> AsyncIterator[Engine]:
    """An engine that is not started yet."""
    engine = Engine(cancel_grace_seconds=60, hang_seconds=60, command=stub_engine.command)
    yield engine
    await engine.stop()


async def test_jobs_wait_for_an_engine_that_cannot_start_and_can_be_cancelled_meanwhile(
    queue: Queue, engine: Engine, stub_engine: StubEngine
) -> None:
    stub_engine.behave(Behaviour.CANNOT_START)
    queue.work(Loading(engine), ready=engine.until_ready)
    jobs = [await queue.add() for _ in range(3)]
    await engine.start()
    with pytest.raises(EngineUnavailable):
        await engine.info()
    waiting = [await queue.service.get(job_id, ANYONE) for job_id in jobs]
    assert [(job.state, job.attempt) for job in waiting] == [(JobState.PENDING, 0)] * 3
    assert (await queue.service.cancel(jobs[1], ANYONE)).state is JobState.CANCELLED
    stub_engine.behave(Behaviour.GOOD)
    assert [(job.state, job.attempt) for job in [await queue.ended(job_id) for job_id in jobs]] == [
        (JobState.COMPLETED, 1),
        (JobState.CANCELLED, 0),
        (JobState.COMPLETED, 1),
    ]


async def test_a_job_under_which_the_engine_dies_twice_fails_and_holds_nobody_up(
    queue: Queue, engine: Engine, stub_engine: StubEngine
) -> None:
    stub_engine.behave(Behaviour.GARBAGE)
    await engine.start()
    queue.work(Loading(engine), ready=engine.until_ready)
    job = await queue.ended(await queue.add())
    assert job.failure is not None
    assert (job.state, job.attempt, job.failure.slug) == (JobState.FAILED, 2, "engine_died")
    stub_engine.behave(Behaviour.GOOD)
    engine.supervisor.kill()
    assert (await queue.ended(await queue.add())).state is JobState.COMPLETED
