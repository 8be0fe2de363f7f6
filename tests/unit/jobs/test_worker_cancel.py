"""Work that is to end hears of it, whenever the wish comes and however the job was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdrest.core.errors import Cancelled
from sdrest.core.events import JobPreviewed
from sdrest.core.job import JobState, JobType, Progress
from sdrest.core.principal import ANYONE
from sdrest.jobs.leases import Leases
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from tests.unit.jobs.worked_queue import Doing, Queue, done, worked_queue


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    async with worked_queue(tmp_path) as queue:
        yield queue


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
