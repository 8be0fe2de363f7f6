"""A job that its clients have left is cancelled; one that somebody waits for, or can be asked for later, goes on."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sdrest.core.job import Job, JobState, JobType
from sdrest.core.parameters import GenerationParameters
from sdrest.core.principal import ANYONE
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.intake import Intake
from sdrest.jobs.service import JobService
from sdrest.jobs.submission import Submission
from sdrest.web.requests.audience import Audiences
from tests.memory.groups import MemoryGroupStore
from tests.memory.jobs import MemoryJobStore
from tests.unit.jobs.queue_server import unchecked

#: A grace that does not end within a test.
LONG = 1e6


class Client:
    """A connection that a test can cut."""

    def __init__(self) -> None:
        self.there = True

    def is_there(self) -> bool:
        return self.there


class Room:
    """Audiences that look at their clients all the time, and clients in them."""

    def __init__(self, jobs: JobService, grace_seconds: float, stack: AsyncExitStack) -> None:
        self.jobs = jobs
        self.audiences = Audiences(jobs, grace_seconds, look_seconds=0)
        self._stack = stack

    async def job(self, **fields: str) -> Job:
        asked = Submission(type=JobType.TXT2IMG, parameters=GenerationParameters(prompt="a"), principal=ANYONE)
        groups = MemoryGroupStore(MemoryJobStore())
        intake = Intake(self.jobs, unchecked, groups, max_pending=9)
        return await intake.submit(dataclasses.replace(asked, **fields))  # type: ignore[arg-type]

    async def comes(self, job: Job) -> Client:
        client = Client()
        before = self.audiences.present(job.id)
        await self._stack.enter_async_context(self.audiences.one(client.is_there, job, ANYONE))
        while self.audiences.present(job.id) == before:
            await asyncio.sleep(0)
        return client

    async def leaves(self, client: Client, job: Job) -> None:
        before = self.audiences.present(job.id)
        client.there = False
        while self.audiences.present(job.id) == before:
            await asyncio.sleep(0)
        for _ in range(100):  # a grace of no time would be over by now, and the job cancelled
            await asyncio.sleep(0)

    async def state(self, job: Job) -> JobState:
        return (await self.jobs.get(job.id, ANYONE)).state


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def jobs(tmp_path: Path) -> JobService:
    files = JobFiles(tmp_path / "output", tmp_path / "spool")
    return JobService(MemoryJobStore(), Broadcast(), files)


@pytest.fixture
def room(jobs: JobService, stack: AsyncExitStack) -> Room:
    return Room(jobs, 0, stack)


async def test_a_job_is_cancelled_when_its_client_has_left(room: Room) -> None:
    job = await room.job()
    client = await room.comes(job)
    assert await room.state(job) is JobState.PENDING
    await room.leaves(client, job)
    assert await room.state(job) is JobState.CANCELLED


async def test_it_goes_on_while_another_client_waits_for_it(room: Room) -> None:
    job = await room.job()
    first, second = await room.comes(job), await room.comes(job)
    await room.leaves(first, job)
    assert await room.state(job) is JobState.PENDING
    await room.leaves(second, job)
    assert await room.state(job) is JobState.CANCELLED


async def test_a_client_that_comes_within_the_grace_takes_the_job_over(jobs: JobService, stack: AsyncExitStack) -> None:
    patient = Room(jobs, LONG, stack)
    job = await patient.job()
    await patient.leaves(await patient.comes(job), job)
    assert await patient.state(job) is JobState.PENDING
    await patient.comes(job)
    assert patient.audiences.present(job.id) == 1
    await patient.audiences.close(None)  # type: ignore[arg-type]  # it does not look at the application


@pytest.mark.parametrize("fields", [{"idempotency_key": "k"}, {"webhook_url": "http://192.0.2.1/"}], ids=str)
async def test_it_goes_on_when_there_is_another_way_to_its_result(room: Room, fields: dict[str, str]) -> None:
    job = await room.job(**fields)
    await room.leaves(await room.comes(job), job)
    assert await room.state(job) is JobState.PENDING


async def test_a_client_that_stays_to_the_answer_leaves_no_watch_behind(room: Room) -> None:
    job, client = await room.job(), Client()
    async with room.audiences.one(client.is_there, job, ANYONE):
        pass
    client.there = False
    for _ in range(100):
        await asyncio.sleep(0)
    assert await room.state(job) is JobState.PENDING
    assert room.audiences.present(job.id) == 0


async def test_a_client_that_left_before_the_request_was_given_up_counts_as_gone(room: Room) -> None:
    job, client = await room.job(), Client()
    async with room.audiences.one(client.is_there, job, ANYONE):
        client.there = False
    for _ in range(100):
        await asyncio.sleep(0)
    assert await room.state(job) is JobState.CANCELLED
