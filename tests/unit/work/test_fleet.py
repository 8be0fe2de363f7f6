"""A server and a worker elsewhere, with all that lies between them but the network: connections break, workers go and come back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.errors import (
    Cancelled,
    GenerationFailed,
    Gone,
    InsufficientMemory,
    ModelUnusable,
    NotFound,
    Unavailable,
)
from sdrest.core.events import JobChanged, JobPreviewed, JobProgressed
from sdrest.core.job import Job, JobState, JobType, Output, Phase, Progress
from sdrest.core.parameters import GenerationParameters
from sdrest.core.principal import ANYONE
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.intake import Intake
from sdrest.jobs.leases import Leases
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.submission import Submission
from sdrest.jobs.worker import Result
from sdrest.registry.contents import Contents, content_id
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from sdrest.storage.memory import MemoryJobStore
from sdrest.storage.memory_groups import MemoryGroupStore
from sdrest.work import worker_frames as frames
from sdrest.work.agent import Agent
from sdrest.work.fetched_models import FetchedModels
from sdrest.work.fleet import Fleet
from sdrest.work.model_contents import ModelContents
from sdrest.work.roster import Board, EngineCard, Roster, WorkerCard
from tests.needs import needs
from tests.postgres import open_database
from tests.unit.jobs.queue_server import unchecked


class Line:
    """One connection in memory."""

    def __init__(self) -> None:
        self.to_worker: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.to_server: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.is_broken = False

    async def send(self, message: bytes) -> None:
        if self.is_broken:
            raise Unavailable("broken")
        self.to_server.put_nowait(message)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self.to_worker.get()) is not None:
            yield message

    def break_off(self) -> None:
        """What is under way is lost."""
        self.is_broken = True
        self.to_worker.put_nowait(None)
        self.to_server.put_nowait(None)


class Server:
    """The queue, and the fleet behind connections in memory. Is the :class:`sdrest.work.agent.Front` of agents as well."""

    def __init__(
        self,
        folder: Path,
        *,
        grace_seconds: float = 1e6,
        store: MemoryJobStore | None = None,
        name: str = "",
        board: Board | None = None,
    ) -> None:
        self.store = store or MemoryJobStore()
        self.files = JobFiles(folder / "output", folder / "spool")
        self.service = JobService(self.store, Broadcast(), self.files, server=name)
        self.leases = Leases(self.service)
        self.intake = Intake(self.service, unchecked, MemoryGroupStore(self.store), max_pending=100)
        self.needed: tuple[frames.Needed, ...] = ()
        self.served: dict[str, bytes] = {}
        self.registry = Registry(Folders(folder / "models"), folder)
        self.fleet = Fleet(
            self.service,
            lambda _job: self.needed,
            ModelContents(self.registry, Contents()),
            max_attempts=2,
            grace_seconds=grace_seconds,
        )
        self.wishes = 0
        self.roster = Roster(self.fleet, name or "server", tuple, board, self._wish)
        self.fleet.is_elsewhere = self.roster.is_elsewhere
        self.line: Line | None = None
        self.is_reachable = asyncio.Event()
        self.is_reachable.set()
        self.events = self.service.broadcast.subscribe()
        self._iterator = aiter(self.events)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Line]:
        await self.is_reachable.wait()
        line = self.line = Line()
        serving = asyncio.create_task(self._serve(line))
        try:
            yield line
        finally:
            line.break_off()
            await serving

    async def _serve(self, line: Line) -> None:
        first = await line.to_server.get()
        if first is None:
            return
        hello = frames.from_worker(first)
        assert isinstance(hello, frames.Hello)

        def send(frame: frames.FromServer) -> None:
            if not line.is_broken:
                line.to_worker.put_nowait(frames.encode(frame))

        worker = await self.fleet.join(hello, "w", send)
        while (message := await line.to_server.get()) is not None and not line.is_broken:
            await self.fleet.heard(worker, frames.from_worker(message))
        self.fleet.left(worker, send)

    async def download(self, path: str, target: Path, told: Callable[[int], None] = lambda _done: None) -> None:
        if path.startswith("workers/models/"):
            content = self.served[path.rpartition("/")[2]]
        else:
            _, _, job_id, _, _, file = path.split("/")
            content = (self.files.input_folder(job_id) / file).read_bytes()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        told(len(content))

    async def upload(self, path: str, source: Path) -> None:
        _, _, job_id, lease, _, file = path.split("/")
        job = await self.store.get(job_id)
        if job is None or job.state is not JobState.RUNNING or job.lease_id != lease:
            raise Gone("over")
        folder = self.files.staging_folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(source.read_bytes())

    def break_off(self, *, for_long: bool = False) -> None:
        """End the connection; ``for_long``: until :attr:`is_reachable` is set."""
        if for_long:
            self.is_reachable.clear()
        assert self.line is not None
        self.line.break_off()

    def _wish(self) -> None:
        self.wishes += 1

    async def submit(self) -> Job:
        parameters = GenerationParameters(prompt="a")
        return await self.intake.submit(
            Submission(type=JobType.TXT2IMG, parameters=parameters, principal=ANYONE, reuse=False)
        )

    async def add(self, **fields: Any) -> Job:
        """A job for some model or so much memory."""
        job = Job(id=str(uuid.uuid4()), type=JobType.TXT2IMG, created_at=self.service.clock(), **fields)
        stored = await self.store.add(job, max_pending=100)
        self.service.running.changed(stored, None)
        return stored

    async def hears(self, is_wanted: Callable[[Any], bool]) -> Any:
        while not is_wanted(event := await anext(self._iterator)):
            pass
        return event

    async def ended(self, job: Job) -> Job:
        """A job after its end."""
        return await self.service.wait(job.id, ANYONE)


@dataclass
class ToldExecutor:
    """Carries out jobs step by step, as a test tells it."""

    files: JobFiles
    attempts: asyncio.Queue[Attempt] = field(default_factory=asyncio.Queue)
    endings: asyncio.Queue[Exception | None] = field(default_factory=asyncio.Queue)
    watched: asyncio.Event = field(default_factory=asyncio.Event)
    skipped: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    async def execute(self, attempt: Attempt) -> Result:
        attempt.on_cancel(lambda: self.endings.put_nowait(Cancelled()))
        attempt.on_watched(self.watched.set)
        attempt.on_skipped(self.skipped.put_nowait)
        self.attempts.put_nowait(attempt)
        ending = await self.endings.get()
        attempt.free_worker()
        if ending is not None:
            raise ending
        return Result(seconds=1.5, warnings=("well",))

    async def make(self, attempt: Attempt, name: str = "image_0.png") -> None:
        """Make a picture."""
        folder = self.files.staging_folder(attempt.job)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(attempt.job.lease_id.encode())
        await attempt.made(Output(file=name, media_type="image/png", size_bytes=32))


class Between:
    """A proxy before several servers."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def connected(self) -> Any:
        return self.server.connected()

    async def download(self, path: str, target: Path, told: Callable[[int], None] = lambda _done: None) -> None:
        await self.server.download(path, target, told)

    async def upload(self, path: str, source: Path) -> None:
        await self.server.upload(path, source)


class Elsewhere:
    """A worker's machine."""

    def __init__(
        self,
        server: Server | Between,
        folder: Path,
        name: str = "w",
        *,
        budget_bytes: int = 0,
        models: Sequence[str] = (),
        fetches: bool = True,
    ) -> None:
        self.folder = folder
        self.files = JobFiles(folder / "output", folder / "spool")
        self.executor = ToldExecutor(self.files)
        for model in models:
            file = folder / "models" / "vae" / f"{model}.safetensors"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(model)
        self.registry = Registry(Folders(folder / "models"), folder)
        self.registry.refresh()
        self.ids = {Path(model.relative_path).stem: model.id for model in self.registry.catalogue.models}
        self.models = FetchedModels(self.registry, server.download)
        self.agent = Agent(
            name,
            server,
            self.files,
            self.models,
            {"engine": {JobType.TXT2IMG: self.executor}},
            lambda: ([frames.Slot("engine", budget_bytes=budget_bytes)], "commit"),
            fetches=fetches,
        )
        self.task = asyncio.create_task(self.agent.run())

    async def end(self) -> None:
        """As a death does."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path / "server")
    yield server
    await server.fleet.close()


@pytest.fixture
async def worker(server: Server, tmp_path: Path) -> AsyncIterator[Elsewhere]:
    worker = Elsewhere(server, tmp_path / "worker")
    yield worker
    await worker.end()


async def test_a_job_is_carried_out_elsewhere_and_its_files_are_here(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    attempt = await worker.executor.attempts.get()
    attempt.reached(Progress(phase=Phase.SAMPLE, step=2, steps=4, fraction=0.5))
    assert (await server.hears(lambda event: isinstance(event, JobProgressed))).progress.step == 2
    attempt.publish(JobPreviewed(job.id, "", 2, 8, 8, b"jpeg"))
    assert (await server.hears(lambda event: isinstance(event, JobPreviewed))).jpeg == b"jpeg"
    await worker.executor.make(attempt)
    worker.executor.endings.put_nowait(None)
    done = await server.ended(job)
    assert (done.state, done.seconds, done.warnings) == (JobState.COMPLETED, 1.5, ("well",))
    assert (server.files.output_folder(job.id) / "image_0.png").read_bytes() == done.lease_id.encode()
    second = await server.submit()  # by then, nothing of the first one is left at the worker
    await worker.executor.attempts.get()
    while worker.files.output_folder(job.id).exists():
        await asyncio.sleep(0)
    worker.executor.endings.put_nowait(GenerationFailed("no"))
    failed = await server.ended(second)
    assert failed.failure is not None
    assert (failed.failure.slug, failed.failure.message) == ("generation_failed", "no")
    (seen,) = server.fleet.workers
    assert (seen.jobs_done, seen.pictures_made) == (1, 1)


async def test_a_cancel_a_look_and_a_skip_reach_the_worker(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    await worker.executor.attempts.get()
    server.service.watch(await server.service.get(job.id, ANYONE))
    await worker.executor.watched.wait()
    server.service.skip(await server.service.get(job.id, ANYONE), 2)
    assert await worker.executor.skipped.get() == 2
    await server.service.cancel(job.id, ANYONE)
    assert (await server.ended(job)).state is JobState.CANCELLED


async def test_a_connection_that_breaks_costs_nothing(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    attempt = await worker.executor.attempts.get()
    server.break_off(for_long=True)
    await worker.executor.make(attempt)  # what it says now nobody hears
    worker.executor.endings.put_nowait(None)
    server.is_reachable.set()
    done = await server.ended(job)
    assert (done.state, done.attempt) == (JobState.COMPLETED, 1)
    assert [output.file for output in done.outputs] == ["image_0.png"]


async def test_a_cancel_while_the_connection_is_away_counts_when_it_is_back(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    await worker.executor.attempts.get()
    server.break_off(for_long=True)
    await server.service.cancel(job.id, ANYONE)
    server.is_reachable.set()
    assert (await server.ended(job)).state is JobState.CANCELLED


async def test_a_worker_that_does_not_come_back_loses_its_job_to_another(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", grace_seconds=0)
    first = Elsewhere(server, tmp_path / "first", "first")
    job = await server.submit()
    stale = await first.executor.attempts.get()
    await first.end()
    second = Elsewhere(server, tmp_path / "second", "second")
    attempt = await second.executor.attempts.get()
    assert attempt.job.id == job.id
    assert attempt.job.lease_id != stale.job.lease_id
    await first.executor.make(stale)  # as if it had only stood still
    assert stale.is_lost
    second.executor.endings.put_nowait(None)
    done = await server.ended(job)
    assert (done.state, done.outputs) == (JobState.COMPLETED, ())
    await second.end()
    await server.fleet.close()


async def test_a_job_under_which_every_worker_dies_is_not_given_to_all_of_them(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", grace_seconds=0)
    job = await server.submit()
    for number in range(2):
        worker = Elsewhere(server, tmp_path / str(number))
        await worker.executor.attempts.get()
        await worker.end()
    failed = await server.ended(job)
    assert failed.failure is not None
    assert "has gone" in failed.failure.message
    await server.fleet.close()


async def test_a_worker_that_is_drained_finishes_its_job_and_gets_no_other(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    await worker.executor.attempts.get()
    server.fleet.drain("w")
    other = await server.submit()
    worker.executor.endings.put_nowait(None)
    assert (await server.ended(job)).state is JobState.COMPLETED
    await worker.task  # it has left
    assert (await server.service.get(other.id, ANYONE)).state is JobState.PENDING
    with pytest.raises(NotFound):
        server.fleet.drain("nobody")


async def test_a_worker_with_nothing_to_do_leaves(server: Server, tmp_path: Path) -> None:
    worker = Elsewhere(server, tmp_path / "worker")
    await worker.end()
    worker.agent._idle_exit_seconds = 0.01
    await worker.agent.run()


async def test_a_worker_cannot_name_files_elsewhere(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    attempt = await worker.executor.attempts.get()
    (seen,) = server.fleet.workers
    output = Output(file="../../x.png", media_type="image/png", size_bytes=1)
    await seen.heard(frames.Made(attempt.job.lease_id, output))
    assert (await server.ended(job)).state is JobState.FAILED


async def test_what_was_taken_from_a_worker_meanwhile_is_given_up(server: Server, worker: Elsewhere) -> None:
    await server.submit()
    attempt = await worker.executor.attempts.get()
    server.break_off(for_long=True)
    await server.store.recover(server.service.clock() + timedelta(hours=1), 10)
    server.service.running.wake_workers()
    server.is_reachable.set()
    again = await worker.executor.attempts.get()  # under another lease, by the same worker
    assert attempt.is_lost
    assert again.job.lease_id != attempt.job.lease_id
    worker.executor.endings.put_nowait(None)
    await server.ended(again.job)


class TestWhoCanCarryOut:
    """Jobs go to workers that have the model and the memory; what nobody can carry out says so, and waits."""

    @pytest.fixture
    async def worker(self) -> None:
        """None is there by itself."""

    @asynccontextmanager
    async def working(self, server: Server, folder: Path, name: str, **what: Any) -> AsyncIterator[Elsewhere]:
        worker = Elsewhere(server, folder / name, name, **what)
        while not any(card.name == name and card.models == len(worker.ids) for card in server.roster.workers):
            await asyncio.sleep(0)
        yield worker
        await worker.end()

    async def done(self, worker: Elsewhere) -> Job:
        """The job that a worker carries out next."""
        attempt = await worker.executor.attempts.get()
        worker.executor.endings.put_nowait(None)
        return attempt.job

    async def test_a_worker_takes_jobs_for_the_models_that_it_has_first(self, server: Server, tmp_path: Path) -> None:
        await server.service.set_paused(True, ANYONE)
        async with self.working(server, tmp_path, "a", models=["m"]) as worker:
            others = [await server.add(model_id="other") for _ in range(2)]
            own = await server.add(model_id=worker.ids["m"])
            await server.service.set_paused(False, ANYONE)
            assert [(await self.done(worker)).id for _ in range(3)] == [own.id, *(job.id for job in others)]

    async def test_a_model_is_known_by_its_content_whatever_it_is_called(self, server: Server, tmp_path: Path) -> None:
        file = tmp_path / "server" / "models" / "vae" / "renamed.safetensors"
        file.parent.mkdir(parents=True)
        file.write_text("m")
        server.registry.refresh()
        (model,) = server.registry.catalogue.models
        async with self.working(server, tmp_path, "a", models=["m", "n"], fetches=False) as worker:
            while model.id not in server.roster.workers[0].at_hand:
                await asyncio.sleep(0)
            worker.agent.loaded("engine", [worker.ids["m"]])
            while not server.roster.workers[0].engines[0].loaded:
                await asyncio.sleep(0)
            assert {*server.roster.workers[0].engines[0].loaded} == {model.id, worker.ids["m"]}
            job = await server.add(model_id=model.id)
            assert (await self.done(worker)).id == job.id

    async def test_what_nobody_may_get_waits_for_a_worker_that_has_it(self, server: Server, tmp_path: Path) -> None:
        job = await server.add(model_id="rare", model_name="Rare")
        assert "no worker is connected" in server.roster.problem_of(job)
        async with self.working(server, tmp_path, "a", fetches=False) as without:
            assert "has the model Rare" in server.roster.problem_of(job)
            async with self.working(server, tmp_path, "b") as gets_it:
                assert server.roster.problem_of(job) == ""
                assert (await self.done(gets_it)).id == job.id
            assert without.executor.attempts.empty()

    async def test_a_worker_that_may_not_get_a_part_puts_the_job_back(self, server: Server, tmp_path: Path) -> None:
        server.needed = (frames.Needed("lora", "content", "loras", "loras/rare.safetensors", 1),)
        async with self.working(server, tmp_path, "a", models=["m"], fetches=False) as worker:
            job = await server.add(model_id=worker.ids["m"])
            await server.hears(lambda event: isinstance(event, JobChanged) and event.previous is JobState.RUNNING)
            found = await server.service.get(job.id, ANYONE)
            assert (found.state, found.attempt) == (JobState.PENDING, 0)
            assert found.warnings == ("a has not got loras/rare.safetensors and may not get it",)
            assert "all that it needs" in server.roster.problem_of(found)

    async def test_what_is_too_large_waits_for_a_larger_worker(self, server: Server, tmp_path: Path) -> None:
        async with self.working(server, tmp_path, "small", budget_bytes=8 << 20) as small:
            job = await server.add(memory_bytes=12 << 20)
            assert "about 12 MiB" in (problem := server.roster.problem_of(job))
            assert "more than 8 MiB" in problem
            async with self.working(server, tmp_path, "large", budget_bytes=16 << 20) as large:
                assert server.roster.problem_of(job) == ""
                assert (await self.done(large)).id == job.id
            assert small.executor.attempts.empty()

    async def test_a_refusal_for_memory_is_tried_on_each_larger_worker_once(
        self, server: Server, tmp_path: Path
    ) -> None:
        job = await server.add()
        tried = []
        async with contextlib.AsyncExitStack() as stack:
            workers = []
            for name, mib in (("small", 8), ("middle", 12), ("large", 16)):
                working = self.working(server, tmp_path, name, budget_bytes=mib << 20)
                workers.append(await stack.enter_async_context(working))
                if name == "small":
                    await workers[0].executor.attempts.get()
            tried.append("small")
            workers[0].executor.endings.put_nowait(InsufficientMemory("no room"))
            while not (await server.service.get(job.id, ANYONE)).is_finished:
                waiting = {asyncio.create_task(worker.executor.attempts.get()): worker for worker in workers}
                ended = asyncio.create_task(server.ended(job))
                done, _ = await asyncio.wait({*waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {ended}:
                    tried.append(waiting[task].folder.name)  # type: ignore[index]
                    waiting[task].executor.endings.put_nowait(InsufficientMemory("no room"))  # type: ignore[index]
                for task in {*waiting, ended}:
                    task.cancel()
        found = await server.service.get(job.id, ANYONE)
        assert found.failure is not None
        assert (found.failure.slug, found.failure.message) == ("insufficient_memory", "no room")
        assert len(tried) == len({*tried})
        assert tried[-1] == "large"
        assert [warning.partition(" has")[0] for warning in found.warnings] == [f"{name}/engine" for name in tried[:-1]]


@needs("postgres")
class TestOneList:
    """Servers on one PostgreSQL know of each other's workers."""

    @pytest.fixture
    async def both(self, postgres_url: str, tmp_path: Path) -> AsyncIterator[list[Server]]:
        from sdrest.storage.postgres.board import PostgresBoard

        database = open_database(postgres_url)
        await database.open()
        servers = [
            Server(tmp_path / "shared", name=name, board=PostgresBoard(database, lambda name=name: name))  # type: ignore[misc]
            for name in ("east", "west")
        ]
        for server in servers:
            server.roster.loop.start()
        yield servers
        for server in servers:
            await server.roster.loop.stop()
            await server.fleet.close()
        await database.close()

    async def seen(self, server: Server, is_wanted: Callable[[Sequence[WorkerCard]], bool]) -> Sequence[WorkerCard]:
        """The list of a server when it is as wanted."""
        while True:
            await server.roster.look()
            if is_wanted(server.roster.workers):
                return server.roster.workers
            await asyncio.sleep(0.02)

    async def test_a_worker_is_in_the_list_of_all_and_drained_from_anywhere(
        self, both: list[Server], tmp_path: Path
    ) -> None:
        east, west = both
        worker = Elsewhere(east, tmp_path / "worker", budget_bytes=5 << 20)
        (card,) = await self.seen(west, lambda cards: any(card.takes_jobs for card in cards))
        assert (card.name, card.server, card.state, card.engines) == (
            "w",
            "east",
            "waiting",
            (EngineCard("engine", budget_bytes=5 << 20),),
        )
        assert west.roster.largest_bytes() == 5 << 20
        job = await east.submit()
        await worker.executor.attempts.get()
        (card,) = await self.seen(west, lambda cards: cards[0].state == "working")
        assert card.engines[0].job_id == job.id
        drained = await west.roster.drain("w")
        assert (drained.state, west.wishes) == ("leaving", 1)
        await east.roster.look()  # as it does when it hears of the wish
        worker.executor.endings.put_nowait(None)
        await worker.task  # it has left
        assert (await east.ended(job)).state is JobState.COMPLETED
        await self.seen(west, lambda cards: not cards)
        with pytest.raises(NotFound):
            await west.roster.drain("w")

    async def test_a_worker_that_has_moved_is_in_the_list_once(self, both: list[Server], tmp_path: Path) -> None:
        east, west = both
        between = Between(east)
        worker = Elsewhere(between, tmp_path / "worker")
        await self.seen(west, bool)
        between.server = west
        east.break_off()
        await self.seen(east, lambda cards: [card.server for card in cards if card.takes_jobs] == ["west"])
        await self.seen(west, lambda cards: [card.server for card in cards] == ["west"])
        await worker.end()


class TestSeveralServers:
    """East and west share the queue and the folders; a worker comes from one to the other."""

    @pytest.fixture
    async def east(self, tmp_path: Path) -> AsyncIterator[Server]:
        server = Server(tmp_path / "shared", name="east")
        yield server
        await server.fleet.close()

    @pytest.fixture
    async def west(self, east: Server, tmp_path: Path) -> AsyncIterator[Server]:
        server = Server(tmp_path / "shared", store=east.store, name="west")
        yield server
        await server.fleet.close()

    @pytest.fixture
    async def worker(self, east: Server, tmp_path: Path) -> AsyncIterator[Elsewhere]:
        self.between = Between(east)
        worker = Elsewhere(self.between, tmp_path / "worker")
        yield worker
        await worker.end()

    def go_to(self, server: Server) -> None:
        """The connection breaks, and the next one is to that server."""
        before, self.between.server = self.between.server, server
        before.break_off()

    async def test_an_attempt_goes_on_at_another_server(self, east: Server, west: Server, worker: Elsewhere) -> None:
        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        await worker.executor.make(attempt, "image_0.png")
        self.go_to(west)  # and nothing is heard of east
        attempt.reached(Progress(phase=Phase.SAMPLE, step=3, steps=4, fraction=0.7))
        assert (await west.hears(lambda event: isinstance(event, JobProgressed))).progress.step == 3
        west.service.watch(await west.service.get(job.id, ANYONE))
        await worker.executor.watched.wait()
        await east.leases.look()  # it was only cut off: it sees that the lease is not its own any more
        await worker.executor.make(attempt, "image_1.png")
        worker.executor.endings.put_nowait(None)
        done = await west.ended(job)
        assert (done.state, done.attempt, done.lease_id) == (JobState.COMPLETED, 1, attempt.job.lease_id)
        made = {file.name for file in west.files.output_folder(job.id).iterdir()}
        assert made == {"image_0.png", "image_1.png"} == {output.file for output in done.outputs}
        second = await west.submit()  # the engine gets the next job
        await worker.executor.attempts.get()
        worker.executor.endings.put_nowait(None)
        assert (await west.ended(second)).state is JobState.COMPLETED
        assert worker.agent._held.keys() <= {(await west.service.get(second.id, ANYONE)).lease_id}

    async def test_a_server_that_gives_its_worker_up_too_late_changes_nothing(
        self, east: Server, west: Server, worker: Elsewhere
    ) -> None:
        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        self.go_to(west)
        await west.hears(lambda event: isinstance(event, JobProgressed))
        (left,) = east.fleet.workers
        left.give_up()  # as when the time is over that a worker may be away
        await asyncio.sleep(0)
        assert not attempt.is_cancelled
        await worker.executor.make(attempt)
        worker.executor.endings.put_nowait(None)
        done = await west.ended(job)
        assert (done.state, done.attempt) == (JobState.COMPLETED, 1)
        assert (west.files.output_folder(job.id) / "image_0.png").exists()

    async def test_a_server_that_stops_leaves_the_work_to_another(
        self, east: Server, west: Server, worker: Elsewhere
    ) -> None:
        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        self.between.server = west
        await east.fleet.close()
        await east.store.recover(east.service.clock(), 10, server="east")  # as it does when it starts again
        await worker.executor.make(attempt)
        worker.executor.endings.put_nowait(None)
        done = await west.ended(job)
        assert (done.state, done.attempt, len(done.outputs)) == (JobState.COMPLETED, 1, 1)

    @pytest.mark.parametrize("before", [True, False])
    async def test_a_cancel_reaches_an_attempt_that_goes_on(
        self, east: Server, west: Server, worker: Elsewhere, before: bool
    ) -> None:
        job = await east.submit()
        await worker.executor.attempts.get()
        if before:
            await west.service.cancel(job.id, ANYONE)
        self.go_to(west)
        if not before:
            await west.hears(lambda event: isinstance(event, JobProgressed))
            await west.service.cancel(job.id, ANYONE)
        assert (await west.ended(job)).state is JobState.CANCELLED

    @pytest.mark.parametrize("noticed", [True, False])
    async def test_an_attempt_goes_there_and_back(
        self, east: Server, west: Server, worker: Elsewhere, noticed: bool
    ) -> None:
        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        self.go_to(west)
        await west.hears(lambda event: isinstance(event, JobProgressed))
        if noticed:
            await east.leases.look()
        self.go_to(east)
        attempt.reached(Progress(phase=Phase.SAMPLE, step=3, steps=4, fraction=0.7))
        await east.hears(lambda event: isinstance(event, JobProgressed) and event.progress.step == 3)
        await west.leases.look()
        await worker.executor.make(attempt)
        worker.executor.endings.put_nowait(None)
        done = await east.ended(job)
        assert (done.state, done.attempt, len(done.outputs)) == (JobState.COMPLETED, 1, 1)


class TestModels:
    CONTENT = b"weights"

    def needed(self, tmp_path: Path, path: str = "vae/sub/a.safetensors") -> frames.Needed:
        file = tmp_path / "at the server"
        file.write_bytes(self.CONTENT)
        return frames.Needed("id-there", content_id(file), "vae", path, len(self.CONTENT))

    async def test_a_model_that_is_lacking_is_fetched_once_and_found_under_its_place(
        self, server: Server, worker: Elsewhere, tmp_path: Path
    ) -> None:
        needed = self.needed(tmp_path)
        server.served = {"id-there": self.CONTENT}
        told: list[Progress] = []
        first, second = await asyncio.gather(*(worker.models.fetch([needed], told.append) for _ in range(2)))
        assert first == second
        (model,) = worker.registry.catalogue.models
        assert first == {"id-there": model.id}
        assert model.relative_path == needed.path
        assert hashlib.sha256(model.path.read_bytes()).digest() == hashlib.sha256(self.CONTENT).digest()
        assert [progress.done_bytes for progress in told] == [len(self.CONTENT)]
        assert await worker.models.inventory() == {model.id: needed.content}

    async def test_another_file_in_its_place_is_left_alone_and_named(
        self, server: Server, worker: Elsewhere, tmp_path: Path
    ) -> None:
        needed = self.needed(tmp_path)
        own = worker.folder / "models" / needed.path
        own.parent.mkdir(parents=True)
        own.write_bytes(b"another")
        worker.registry.refresh()
        with pytest.raises(ModelUnusable, match=r"another file at vae/sub/a\.safetensors"):
            await worker.models.fetch([needed], lambda _progress: None)
        assert own.read_bytes() == b"another"

    async def test_what_comes_and_is_another_file_is_not_kept(
        self, server: Server, worker: Elsewhere, tmp_path: Path
    ) -> None:
        server.served = {"id-there": b"tampered"}
        with pytest.raises(ModelUnusable, match="another file than the server has"):
            await worker.models.fetch([self.needed(tmp_path)], lambda _progress: None)
        assert not [*worker.folder.rglob("a.safetensors")]

    @pytest.mark.parametrize("path", ["../x.safetensors", "vae/../../x.safetensors", "/etc/x.safetensors"])
    async def test_a_place_outside_of_the_folders_is_refused(
        self, server: Server, worker: Elsewhere, tmp_path: Path, path: str
    ) -> None:
        with pytest.raises(ModelUnusable, match="no place"):
            await worker.models.fetch([self.needed(tmp_path, path)], lambda _progress: None)
