"""A server and a worker elsewhere, with all that lies between them but the network."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdrest.core.errors import (
    Cancelled,
    Gone,
    Unavailable,
)
from sdrest.core.job import Job, JobState, JobType, Output
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
from sdrest.registry.contents import Contents
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from sdrest.work import worker_frames as frames
from sdrest.work.agent import Agent
from sdrest.work.fetched_models import FetchedModels
from sdrest.work.fleet import Fleet
from sdrest.work.model_contents import ModelContents
from sdrest.work.roster import Board, Roster
from tests.memory.groups import MemoryGroupStore
from tests.memory.jobs import MemoryJobStore
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
