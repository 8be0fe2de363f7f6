"""The engine brings every task to one end, whatever its child and its listener do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psutil
import pytest

from sdrest.core.errors import (
    Cancelled,
    EngineDied,
    EngineUnavailable,
    GenerationFailed,
    InsufficientStorage,
    SdrestError,
)
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.engine.places import Place
from sdrest.settings import Backend
from tests.stub_child import Behaviour
from tests.stub_engine import StubEngine

Factory = Callable[..., Awaitable[Engine]]


@pytest.fixture
async def start(stub_engine: StubEngine) -> AsyncIterator[Factory]:
    """Starts engines with stubs as children; they are stopped after the test."""
    made: list[Engine] = []

    async def make(behaviour: Behaviour = Behaviour.GOOD, **more: Any) -> Engine:
        stub_engine.behave(behaviour)
        values = {"cancel_grace_seconds": 60, "hang_seconds": 60, "command": stub_engine.command, **more}
        engine = Engine(**values)
        made.append(engine)
        await engine.start()
        return engine

    yield make
    for engine in made:
        await engine.stop()


def load(task: str = "first") -> messages.Load:
    return messages.Load(task=task, context=messages.ContextSpec(files=(("model", "m.gguf"),)))


def nothing(_report: messages.Report) -> None:
    pass


class Begun:
    """A listener that knows whether its task has begun."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def __call__(self, report: messages.Report) -> None:
        if isinstance(report, messages.Progressed):
            self.event.set()


async def test_a_task_is_carried_out(start: Factory) -> None:
    engine = await start()
    contexts: list[messages.Report] = []
    engine.follow(contexts.append, lambda: None)
    done = await engine.run(load(), nothing)
    assert done.task == "first"
    assert len(contexts) == 1


@pytest.mark.parametrize("behaviour", [Behaviour.DYING, Behaviour.LYING, Behaviour.GARBAGE])
async def test_a_task_under_which_the_child_goes_wrong_ends_and_the_next_one_succeeds(
    start: Factory, stub_engine: StubEngine, behaviour: Behaviour
) -> None:
    engine = await start(behaviour)
    await engine.info()
    stub_engine.behave(Behaviour.GOOD)
    with pytest.raises(EngineDied) as caught:
        await engine.run(load(), nothing)
    assert caught.value.log_tail
    await engine.run(load("second"), nothing)


async def test_what_a_task_s_listener_raises_ends_that_task_alone(start: Factory) -> None:
    engine = await start(Behaviour.SLOW)
    await engine.info()
    pid = engine.supervisor.pid

    def raising(_report: messages.Report) -> None:
        raise ValueError("'dream' is not a valid Phase")

    with pytest.raises(SdrestError, match="internal error: ValueError"):
        await engine.run(load(), raising)
    begun = Begun()
    second = asyncio.create_task(engine.run(load("second"), begun))
    await begun.event.wait()
    engine.cancel("second")
    with pytest.raises(Cancelled):
        await second
    assert engine.supervisor.pid == pid


async def test_an_error_with_a_meaning_comes_out_of_the_listener_as_it_is(start: Factory) -> None:
    engine = await start(Behaviour.SLOW)

    def raising(report: messages.Report) -> None:
        raise InsufficientStorage("the picture does not fit")

    with pytest.raises(InsufficientStorage, match="the picture does not fit"):
        await engine.run(load(), raising)


async def test_a_task_that_its_child_does_not_end_ends_with_the_child(start: Factory, stub_engine: StubEngine) -> None:
    engine = await start(Behaviour.STUBBORN, cancel_grace_seconds=0.05)
    begun = Begun()
    task = asyncio.create_task(engine.run(load(), begun))
    await begun.event.wait()
    stub_engine.behave(Behaviour.GOOD)
    engine.cancel("first")
    with pytest.raises(Cancelled):
        await task
    await engine.run(load("second"), nothing)
    assert stub_engine.starts == 2


async def test_without_a_child_that_can_start_a_task_is_handed_back_undone(
    start: Factory, stub_engine: StubEngine
) -> None:
    engine = await start(Behaviour.CANNOT_START)
    with pytest.raises(EngineUnavailable, match="the library is missing"):
        await engine.run(load(), nothing)
    stub_engine.behave(Behaviour.GOOD)
    await engine.supervisor.until_ready()
    await engine.run(load(), nothing)


async def test_a_task_is_cancelled_while_it_waits_for_a_child(start: Factory) -> None:
    engine = await start(Behaviour.SILENT)
    task = asyncio.create_task(engine.run(load(), nothing))
    await asyncio.sleep(0)
    assert engine.cancel("first")
    with pytest.raises(Cancelled):
        await task


async def test_an_engine_that_is_stopped_while_it_starts_leaves_no_child(stub_engine: StubEngine) -> None:
    stub_engine.behave(Behaviour.SILENT)
    others = set(psutil.Process().children())
    for turns in range(40):
        engine = Engine(cancel_grace_seconds=60, hang_seconds=60, command=stub_engine.command)
        await engine.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await engine.supervisor.loop.stop()
        assert set(psutil.Process().children()) == others


async def test_what_the_child_refuses_is_the_task_s_failure(start: Factory) -> None:
    engine = await start(Behaviour.FAILING)
    with pytest.raises(GenerationFailed, match="it cannot be done"):
        await engine.run(load(), nothing)


async def test_a_backend_that_the_library_lacks_makes_the_engine_unavailable(start: Factory) -> None:
    engine = await start(place=Place(backend=Backend.CUDA))
    with pytest.raises(EngineUnavailable, match=r"the backend cuda is not in this build \(it has: CPU\)"):
        await engine.info()


async def test_a_backend_that_the_library_has_is_taken(start: Factory) -> None:
    engine = await start(Behaviour.GPU_ONLY, place=Place(backend=Backend.CUDA))
    assert (await engine.info()).devices[0].backend == "CUDA"
