"""A worker outlives every error of the store and of the work itself, and each job comes to one end."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sdrest.core.errors import EngineUnavailable, InsufficientStorage, Unavailable
from sdrest.core.job import JobState
from sdrest.core.principal import ANYONE
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from tests.unit.jobs.worked_queue import Doing, Queue, done, raising, worked_queue


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    async with worked_queue(tmp_path) as queue:
        yield queue


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
