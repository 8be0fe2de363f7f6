"""The queue of one server with everything real but the engine: it can be stopped, killed in the middle of any write, and started
again on the same files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sdrest.core.errors import Unavailable
from sdrest.core.events import Event, JobChanged
from sdrest.core.files import atomic_file
from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters
from sdrest.core.principal import ANYONE
from sdrest.jobs.allowance import Allowance, Allowances
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.intake import Intake
from sdrest.jobs.leases import Leases
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.submission import Prepared, Submission
from sdrest.jobs.webhooks import URL_KEY
from sdrest.jobs.worker import Result, Worker
from sdrest.storage.sql.database import EVERYTHING, Connection
from sdrest.storage.sql.groups import SqlGroupStore
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sqlite.database import Database

T = TypeVar("T")
#: What an executor is told to do next; a result ends the attempt.
Step = Callable[[Attempt], Awaitable[Result | None]]

MAX_PENDING = 6
MAX_PENDING_OF_USER = 4
PICTURE_TYPES = (JobType.TXT2IMG, JobType.IMG2IMG)


class Clock:
    """The time, which passes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


class Mortal:
    """A database of a server that may be killed: nothing it does afterwards is stored, or comes back. Mixed into a real one."""

    def __init__(self, place: Any) -> None:
        super().__init__(place)  # type: ignore[call-arg]
        self.dead = False
        #: Moments left to live: there is one before and one after each write. None: no end is set.
        self.fuse: int | None = None
        #: Whether the next write is refused, as on a full or read-only disk.
        self.refuses = False
        #: Held until it is set, on the writer's thread; ``held`` is set when a write has come there.
        self.gate: Any = None
        self.held = asyncio.Event()

    def _burn(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            self.dead = self.dead or self.fuse <= 0
        if self.dead:
            raise asyncio.CancelledError

    async def write(self, change: Callable[[Any], T], *, durable: bool = True, alone: str = EVERYTHING) -> T:
        self._burn()
        if self.refuses:
            self.refuses = False
            raise Unavailable("the database cannot be written at the moment")
        gate, self.gate = self.gate, None
        loop = asyncio.get_running_loop()

        def held(connection: Any) -> T:
            if gate is not None:
                loop.call_soon_threadsafe(self.held.set)
                gate.wait()
            return change(connection)

        result: T = await super().write(held, durable=durable, alone=alone)  # type: ignore[misc]
        self._burn()
        return result

    async def read(self, query: Callable[[Any], T]) -> T:
        if self.dead:
            raise asyncio.CancelledError
        found: T = await super().read(query)  # type: ignore[misc]
        return found


class MortalDatabase(Mortal, Database):
    """One in a file."""


def mortal_postgres(url: str) -> Any:
    """One at an address of PostgreSQL."""
    from sdrest.storage.postgres.database import PostgresDatabase

    class MortalPostgres(Mortal, PostgresDatabase):
        pass

    return MortalPostgres(url)


class ObservedStore(SqlJobStore):
    """Tells of a claim before the worker hears of it."""

    on_claim: Callable[[Job], Awaitable[None]] | None = None

    async def claim(self, *args: Any, **fields: Any) -> Job | None:
        job = await super().claim(*args, **fields)
        told, self.on_claim = self.on_claim, None if job else self.on_claim
        if job is not None and told is not None:
            await told(job)
        return job


class RecordingBroadcast(Broadcast):
    """Keeps the changes of state that were published."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[str, str | None, JobState]] = []

    def publish(self, event: Event) -> None:
        if isinstance(event, JobChanged):
            self.changes.append((event.job.id, event.previous, event.job.state))
        super().publish(event)


async def unchecked(submission: Submission) -> Prepared:
    """Takes every submission as it is."""
    parameters = submission.parameters
    assert isinstance(parameters, GenerationParameters)
    shared = submission.reuse and parameters.seed != RANDOM_SEED
    shape = (submission.type, parameters.prompt, parameters.batch_count, len(submission.pictures))
    return Prepared(parameters, None, result_key=repr(shape) if shared else "")


@dataclass
class PacedExecutor:
    """Carries out jobs one step at a time, as it is told; no step, no progress."""

    files: JobFiles
    database: Any
    #: Jobs that were to be cancelled before their attempt began, and were begun all the same.
    begun_unwanted: list[str] = field(default_factory=list)
    #: Running jobs whose cancelling was asked for.
    asked: set[str] = field(default_factory=set)
    #: The attempt that waits for its next step.
    waiting: Attempt | None = None
    _steps: asyncio.Queue[Step] = field(default_factory=asyncio.Queue)

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job = attempt.job
        if attempt.is_cancelled:
            self.begun_unwanted.append(job.id)
        attempt.on_cancel(partial(self.asked.add, job.id))
        stored = await SqlJobStore(self.database).get(job.id)
        assert stored is not None
        if stored.cancel_requested_at is not None and job.id not in self.asked:
            self.begun_unwanted.append(job.id)
        folder = self.files.begin_attempt(job)
        (folder / "0.rgb").write_bytes(b"raw")
        try:
            while True:
                self.waiting = attempt
                step = await self._steps.get()
                result = await step(attempt)
                if result is not None:
                    return result
        finally:
            self.waiting = None
            self.asked.discard(job.id)
            if not self.database.dead:
                self.files.end_attempt(job)

    def tell(self, step: Step) -> None:
        """Have the waiting attempt do something."""
        assert self.waiting is not None
        self.waiting = None
        self._steps.put_nowait(step)


def content_of(job: Job, index: int) -> bytes:
    """What a picture of a job is made to be: by its parameters, so that an earlier result may stand for it."""
    return f"{job.type} {job.parameters['prompt']} {index}".encode()


class QueueServer:
    """One life of a server. Runs in an event loop of its own; :meth:`run` gives it something to do and lets all come to rest."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        fuse: int | None = None,
        name: str = "",
        lease_seconds: float = 1e6,
        url: str = "",
    ) -> None:
        """One with a name is not the only one on the files; its database may be at an address."""
        self._runner = asyncio.Runner()
        self._is_alone = not name
        self.database: Any = mortal_postgres(url) if url else MortalDatabase(folder / "jobs.sqlite3")
        self._runner.run(self._start(folder, clock, fuse, name, lease_seconds))

    async def _start(self, folder: Path, clock: Clock, fuse: int | None, name: str, lease_seconds: float) -> None:
        await self.database.open()
        self.store = ObservedStore(self.database)
        await self.store.set_value(URL_KEY, "http://example.org/hook")  # so that each ending is noted, once
        self.files = JobFiles(folder / "output", folder / "spool")
        self.broadcast = RecordingBroadcast()
        self.service = JobService(self.store, self.broadcast, self.files, server=name, clock=clock)
        self.intake = Intake(
            self.service,
            unchecked,
            SqlGroupStore(self.database, self.store),
            max_pending=MAX_PENDING,
            allowances=Allowances(user=Allowance(max_pending=MAX_PENDING_OF_USER)),
        )
        self.executor = PacedExecutor(self.files, self.database)
        executors = dict.fromkeys(PICTURE_TYPES, self.executor)
        self.worker = Worker(
            "engine", self.service, executors, max_attempts=2, lease_seconds=lease_seconds, clock=clock
        )
        #: Not started: a renewal is told to come, as all other writes are.
        self.leases = Leases(self.service, lease_seconds=lease_seconds, clock=clock)
        self.database.fuse = fuse
        try:
            await self.service.restore()
        except asyncio.CancelledError:
            assert self.database.dead
            return
        self.database.fuse = None
        self.worker.loop.start()
        await self._settle()

    async def _settle(self) -> None:
        """Until the worker can do nothing more by itself: its executor waits for a step, or no job may be taken."""
        async with asyncio.timeout(60):
            while True:
                counts = await self.store.counts()
                at_work = self.executor.waiting is not None
                is_true = (self.worker.current is not None) == at_work
                is_true = is_true and (not self._is_alone or counts[JobState.RUNNING] == at_work)
                has_looked = self.worker._waker._is_waiting and not self.worker._waker.is_set
                has_nothing = has_looked and (await self.service.is_paused() or not counts[JobState.PENDING])
                if is_true and (at_work or has_nothing) and not self.database.dead:
                    return

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something.

        Raises:
            asyncio.CancelledError: the server was killed by its fuse.
        """

        async def settled() -> T:
            if not self._is_alone:
                self.service.running.wake_workers()  # another may have put jobs there
            try:
                return await work()
            finally:
                await self._settle()

        return self._runner.run(settled())

    def stop(self, *, fuse: int | None = None) -> None:
        """As SIGTERM does, or killed meanwhile."""

        async def end() -> None:
            self.database.fuse = fuse
            await self.worker.loop.stop()
            self.database.dead = True
            await self.database.close()

        self._runner.run(end())
        self._runner.close()

    def kill(self) -> None:
        """As SIGKILL does."""
        self.database.dead = True
        self._runner.close()
        self.database._close()

    # ------------------------------------------------------------------ what an attempt can be told to do

    def step(self, step: Step) -> Callable[[], Awaitable[None]]:
        async def told() -> None:
            self.executor.tell(step)

        return told

    async def make_next(self, attempt: Attempt) -> None:
        """Make the next picture of the batch, if there is one more to make."""
        job = await self.store.get(attempt.job.id)
        assert job is not None
        made = {output.file for output in job.outputs}
        for index in range(job.parameters["batch_count"]):
            name = f"image_{index}.png"
            if name not in made:
                content = content_of(job, index)
                with atomic_file(self.files.staging_folder(attempt.job) / name) as stream:
                    stream.write(content)
                await attempt.made(Output(file=name, media_type="image/png", size_bytes=len(content)))
                return

    async def finish(self, attempt: Attempt) -> Result:
        """Make what is left, and end."""
        for _ in range(attempt.job.parameters["batch_count"]):
            await self.make_next(attempt)
        return Result(seconds=1.0)

    # ------------------------------------------------------------------ what there is

    def jobs(self) -> list[Job]:
        """All jobs, the oldest first."""
        found = self.run(lambda: self.service.find(JobFilter(newest_first=False, limit=1000), ANYONE))
        return list(found)

    def endings(self) -> dict[str, int]:
        """How often each job has ended, removed ones too."""

        def query(db: Connection) -> dict[str, int]:
            found = db.execute("SELECT job_id, count(*) FROM webhooks GROUP BY job_id").fetchall()
            return {row[0]: row[1] for row in found}

        return self.run(lambda: self.database.read(query))
