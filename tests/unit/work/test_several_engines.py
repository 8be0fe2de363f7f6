"""Several engines on one queue: each prefers what it has loaded, and the death of one is no other's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.events import Event, ModelChanged
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.principal import ANYONE
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.engine.engines import Engines
from sdrest.engine.places import Place
from sdrest.engine.supervisor import EngineState
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.worker import Result, Worker
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from sdrest.work.loaded_models import Residency
from tests.memory.jobs import MemoryJobStore
from tests.stub_child import Behaviour
from tests.stub_engine import StubEngine


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncIterator[Engines]:
    """Two, not started."""
    members = []
    for name in ("engine-1", "engine-2"):
        (tmp_path / name).mkdir()
        command = StubEngine(tmp_path / name).command
        members.append(Engine(cancel_grace_seconds=60, hang_seconds=60, place=Place(name), command=command))
    engines = Engines(members)
    yield engines
    await engines.stop()


@pytest.fixture
def service(tmp_path: Path) -> JobService:
    files = JobFiles(tmp_path / "output", tmp_path / "spool")
    return JobService(MemoryJobStore(), Broadcast(), files)


async def add(service: JobService, name: str, model_id: str = "") -> Job:
    job = Job(id=name, type=JobType.LOAD, model_id=model_id, created_at=datetime.now(UTC))
    await service.store.add(job, max_pending=100)
    service.running.changed(job, None)
    return job


class Held:
    """An executor whose jobs go on until they are let go."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.let_go = asyncio.Event()

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        self.begun.put_nowait(attempt.job.id)
        await self.let_go.wait()
        return Result()


@contextlib.asynccontextmanager
async def working(service: JobService, *loaded: str) -> AsyncIterator[list[Held]]:
    """A worker for each model, which it has loaded, that has looked at the empty queue."""
    executors = [Held() for _ in loaded]
    workers = [
        Worker(
            f"engine-{model}", service, {JobType.LOAD: executor}, max_attempts=1, preferred_models=partial(set, [model])
        )
        for model, executor in zip(loaded, executors, strict=True)
    ]
    for worker in workers:
        worker.loop.start()
    while not all(worker._waker._is_waiting for worker in workers):
        await asyncio.sleep(0)
    yield executors
    for executor in executors:
        executor.let_go.set()
    for worker in workers:
        await worker.loop.stop()


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
async def test_a_job_goes_to_the_engine_that_waits_with_its_model(service: JobService, order: tuple[str, str]) -> None:
    async with working(service, *order) as executors:
        first, second = executors
        await add(service, "one", order[1])
        assert await second.begun.get() == "one"
        await add(service, "two", order[0])
        assert await first.begun.get() == "two"


async def test_nobody_waits_for_an_engine_that_is_at_work(service: JobService) -> None:
    async with working(service, "a", "b") as (first, second):
        for name in ("one", "two"):  # at once: the first to wake up has one of them
            await add(service, name, "a")
        begun = {await first.begun.get(), await second.begun.get()}
        assert begun == {"one", "two"}


class Loading:
    """Loads a model in an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        context = messages.ContextSpec(files=(("model", "m.gguf"),))
        await self._engine.run(messages.Load(task=attempt.job.id, context=context), lambda _report: None)
        return Result()


async def test_an_engine_that_cannot_start_leaves_the_jobs_to_the_other(
    service: JobService, engines: Engines, tmp_path: Path
) -> None:
    StubEngine(tmp_path / "engine-1").behave(Behaviour.CANNOT_START)
    await engines.start()
    workers = [
        Worker(engine.name, service, {JobType.LOAD: Loading(engine)}, max_attempts=2, ready=engine.until_ready)
        for engine in engines
    ]
    for worker in workers:
        worker.loop.start()
    try:
        for name in ("a", "b", "c"):
            await add(service, name)
        ended = [await service.wait(name, ANYONE) for name in ("a", "b", "c")]
        assert [job.state for job in ended] == [JobState.COMPLETED] * 3
        assert (engines.state, engines.problem) == (EngineState.READY, None)
    finally:
        for worker in workers:
            await worker.loop.stop()


async def test_a_death_is_one_engine_s_alone(engines: Engines) -> None:
    await engines.start()
    await engines.info()
    first, second = engines
    pids = first.supervisor.pid, second.supervisor.pid
    died = asyncio.Event()
    first.follow(lambda _changed: None, died.set)
    first.supervisor.kill()
    await died.wait()
    await first.supervisor.until_ready()
    assert first.supervisor.pid != pids[0]
    assert (second.supervisor.pid, second.supervisor.is_ready, second.restarts) == (pids[1], True, 0)
    assert engines.restarts == 1


def changed(path: str, *, loaded: bool) -> messages.ContextChanged:
    context = messages.ContextSpec(files=(("model", path),))
    return messages.ContextChanged(context=context, loaded=loaded, seconds=0, memory_bytes=0)


async def test_a_model_is_loaded_until_no_engine_has_it(engines: Engines, tmp_path: Path) -> None:
    told: list[Event] = []
    registry = Registry(Folders(tmp_path / "models"), None)
    residency = Residency(engines, registry, told.append, idle_unload_seconds=0)
    first, second = engines

    def hear(engine: Any, report: messages.ContextChanged) -> list[str]:
        told.clear()
        engine._report(report)
        return [event.state for event in told if isinstance(event, ModelChanged)]

    assert hear(first, changed("m.gguf", loaded=True)) == ["loaded"]
    assert hear(second, changed("m.gguf", loaded=True)) == []
    assert hear(first, changed("m.gguf", loaded=False)) == []
    assert hear(second, changed("m.gguf", loaded=False)) == ["unloaded"]
    assert residency.model_ids == frozenset()
