"""Servers on one queue tell each other what happens: whatever is done at one is heard at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.background import Backgrounds
from sdrest.core.errors import Cancelled, Conflict
from sdrest.core.events import Event, JobChanged, JobPreviewed, JobProgressed, JobRemoved, OutputMade
from sdrest.core.job import Job, JobState, JobType, Output, Phase, Progress
from sdrest.core.parameters import GenerationParameters
from sdrest.core.principal import ANYONE
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.intake import Intake
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.submission import Submission
from sdrest.jobs.worker import Result, Worker
from sdrest.settings import Settings
from sdrest.storage.sql.groups import SqlGroupStore
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.work.sharing import Sharing
from tests.needs import needs
from tests.postgres import open_database
from tests.unit.jobs.queue_server import unchecked

pytestmark = needs("postgres")


@dataclass
class ToldExecutor:
    """Carries out jobs step by step, as a test tells it."""

    attempts: asyncio.Queue[Attempt] = field(default_factory=asyncio.Queue)
    endings: asyncio.Queue[Exception | None] = field(default_factory=asyncio.Queue)
    watched: asyncio.Event = field(default_factory=asyncio.Event)

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        attempt.on_cancel(lambda: self.endings.put_nowait(Cancelled()))
        attempt.on_watched(self.watched.set)
        self.attempts.put_nowait(attempt)
        ending = await self.endings.get()
        if ending is not None:
            raise ending
        return Result(seconds=1.0)


class Front:
    """One server without its web."""

    def __init__(self, url: str, folder: Path, name: str) -> None:
        self.database: Any = open_database(url)
        self.settings = Settings(data_dir=folder / name, output=folder / "output", spool=folder / "spool")
        self.settings.data_dir.mkdir(parents=True)
        files = JobFiles(self.settings.output_dir, self.settings.spool_dir)
        store = SqlJobStore(self.database)
        self.service = JobService(store, Broadcast(), files, clock=self.database.clock)
        self.intake = Intake(self.service, unchecked, SqlGroupStore(self.database, store), max_pending=100)
        self.refreshed = asyncio.Event()
        self.sharing = Sharing(self.service, self.database, (self._refresh,))
        self.executor = ToldExecutor()
        self.events = self.service.broadcast.subscribe()
        self._iterator = aiter(self.events)

    async def _refresh(self) -> None:
        self.refreshed.set()

    async def run(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self.sharing.open(self.settings))
        await stack.enter_async_context(self.sharing.going_on(Backgrounds()))

    def work(self, stack: AsyncExitStack) -> None:
        """Carry out jobs from now on."""
        worker = Worker("w", self.service, {JobType.TXT2IMG: self.executor}, max_attempts=2)
        worker.loop.start()
        stack.push_async_callback(worker.loop.stop)

    async def hears(self, is_wanted: Callable[[Any], bool]) -> Any:
        """The next event that is wanted."""
        while True:
            event: Event = await anext(self._iterator)
            if is_wanted(event):
                return event

    async def hears_state(self, job: Job, state: JobState) -> JobChanged:
        found: JobChanged = await self.hears(
            lambda event: isinstance(event, JobChanged) and (event.job.id, event.job.state) == (job.id, state)
        )
        return found

    async def submit(self) -> Job:
        parameters = GenerationParameters(prompt="a")
        return await self.intake.submit(
            Submission(type=JobType.TXT2IMG, parameters=parameters, principal=ANYONE, reuse=False)
        )


@pytest.fixture
async def stack(postgres_url: str) -> AsyncIterator[AsyncExitStack]:
    """What runs on the database, and ends before it goes."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def fronts(stack: AsyncExitStack, postgres_url: str, tmp_path: Path) -> tuple[Front, Front]:
    """Two servers on one database: the second one carries out jobs."""
    east, west = Front(postgres_url, tmp_path, "east"), Front(postgres_url, tmp_path, "west")
    for front in (east, west):
        await front.run(stack)
    west.work(stack)
    return east, west


async def test_what_one_server_does_with_a_job_is_heard_at_the_other_in_order_and_once(
    fronts: tuple[Front, Front],
) -> None:
    east, west = fronts
    job = await east.submit()
    attempt = await west.executor.attempts.get()
    assert (await east.hears_state(job, JobState.RUNNING)).previous == JobState.PENDING
    attempt.reached(Progress(phase=Phase.SAMPLE, step=3, steps=9, fraction=0.25))
    await east.hears(lambda event: isinstance(event, JobProgressed))
    assert east.service.progress(await east.service.get(job.id, ANYONE)).step == 3
    await attempt.made(Output(file="image_0.png", media_type="image/png", size_bytes=1))
    made = await east.hears(lambda event: isinstance(event, OutputMade))
    assert made.output.file == "image_0.png"
    waiting = asyncio.create_task(east.service.wait(job.id, ANYONE))
    west.executor.endings.put_nowait(None)
    assert (await waiting).state is JobState.COMPLETED
    assert (await east.hears_state(job, JobState.COMPLETED)).previous == JobState.RUNNING
    await west.service.remove(job.id, ANYONE)
    removed = await east.hears(lambda event: isinstance(event, JobChanged | JobRemoved))
    assert removed == JobRemoved(job.id, "")  # and nothing was told twice before


async def test_a_job_is_cancelled_from_the_server_that_does_not_carry_it_out(fronts: tuple[Front, Front]) -> None:
    east, west = fronts
    job = await east.submit()
    attempt = await west.executor.attempts.get()
    await east.hears_state(job, JobState.RUNNING)
    await east.service.cancel(job.id, ANYONE)
    assert (await east.hears_state(job, JobState.CANCELLED)).previous == JobState.RUNNING
    assert attempt.is_cancelled


async def test_a_picture_is_skipped_from_the_server_that_does_not_carry_it_out(fronts: tuple[Front, Front]) -> None:
    east, west = fronts
    job = await east.submit()
    attempt = await west.executor.attempts.get()
    skipped: asyncio.Queue[int] = asyncio.Queue()
    attempt.on_skipped(skipped.put_nowait)
    east.service.skip((await east.hears_state(job, JobState.RUNNING)).job, 2)
    assert await skipped.get() == 2
    west.executor.endings.put_nowait(None)
    await east.hears_state(job, JobState.COMPLETED)


async def test_previews_are_made_and_come_over_when_somebody_looks(fronts: tuple[Front, Front]) -> None:
    east, west = fronts
    job = await east.submit()
    attempt = await west.executor.attempts.get()
    east.service.watch((await east.hears_state(job, JobState.RUNNING)).job)
    await west.executor.watched.wait()
    attempt.publish(JobPreviewed(job.id, "", 4, 8, 8, bytes(20_000)))
    seen = await east.hears(lambda event: isinstance(event, JobPreviewed))
    assert (seen.step, len(seen.jpeg)) == (4, 20_000)
    assert east.service.preview(await east.service.get(job.id, ANYONE)) == seen
    west.executor.endings.put_nowait(None)
    await east.hears_state(job, JobState.COMPLETED)
    assert east.service.preview(await east.service.get(job.id, ANYONE)) is None


async def test_a_queue_that_was_paused_elsewhere_goes_on_when_that_is_ended_elsewhere(
    fronts: tuple[Front, Front],
) -> None:
    east, west = fronts
    await east.service.set_paused(True, ANYONE)
    job = await east.submit()
    await west.hears_state(job, JobState.PENDING)
    west.refreshed.clear()
    await east.service.set_paused(False, ANYONE)
    await west.refreshed.wait()
    assert (await west.executor.attempts.get()).job.id == job.id
    west.executor.endings.put_nowait(None)
    await east.hears_state(job, JobState.COMPLETED)


async def test_what_was_missed_while_the_database_was_away_is_read_when_it_is_back(
    fronts: tuple[Front, Front], postgres: Any
) -> None:
    east, west = fronts
    job = await east.submit()
    await west.executor.attempts.get()
    await east.hears_state(job, JobState.RUNNING)
    await east.service.store.set_value("any", 1)  # on disk, and with it the claim, which may be lost with the machine
    await asyncio.to_thread(postgres.stop)
    west.executor.endings.put_nowait(None)  # its end is stored when it can be
    await asyncio.to_thread(postgres.start)
    await east.hears_state(job, JobState.COMPLETED)


async def test_one_server_leads_and_another_takes_over_when_it_ends(
    stack: AsyncExitStack, postgres_url: str, tmp_path: Path
) -> None:
    first, second = Front(postgres_url, tmp_path, "a"), Front(postgres_url, tmp_path, "b")
    async with AsyncExitStack() as of_first:
        await first.run(of_first)
        while not first.sharing.leads():
            await asyncio.wait_for(first.refreshed.wait(), 60)
            await asyncio.sleep(0)
        await second.run(stack)
        await second.refreshed.wait()
        assert not second.sharing.leads()
    assert not first.sharing.leads()
    while not second.sharing.leads():
        second.refreshed.clear()
        await second.refreshed.wait()


async def test_a_server_that_has_not_the_folders_of_the_others_does_not_start(
    fronts: tuple[Front, Front], stack: AsyncExitStack, postgres_url: str, tmp_path: Path
) -> None:
    stranger = Front(postgres_url, tmp_path / "elsewhere", "east")
    with pytest.raises(Conflict, match="same --output and the same --spool"):
        await stranger.run(stack)
    assert not (await fronts[0].service.counts(ANYONE))[JobState.RUNNING]
