"""A queue on disk with workers, whose executors do what a test says."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sdrest.core.background import Background
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.principal import ANYONE
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.worker import Result, Worker
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sqlite.database import Database

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


@asynccontextmanager
async def worked_queue(folder: Path) -> AsyncIterator[Queue]:
    database = Database(folder / "queue.sqlite3")
    await database.open()
    store = Refusing(database)
    files = JobFiles(folder / "output", folder / "spool")
    queue = Queue(store, JobService(store, Broadcast(), files))
    yield queue
    for worker in queue.workers:
        await worker.loop.stop()
    await database.close()
