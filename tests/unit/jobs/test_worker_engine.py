"""A worker outlives every end of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from sdrest.core.errors import EngineUnavailable
from sdrest.core.job import JobState
from sdrest.core.principal import ANYONE
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from tests.stub_child import Behaviour
from tests.stub_engine import StubEngine
from tests.unit.jobs.worked_queue import Queue, worked_queue


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    async with worked_queue(tmp_path) as queue:
        yield queue


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
