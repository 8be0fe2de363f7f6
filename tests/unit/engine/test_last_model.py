"""The model that was loaded last is loaded again at the start, and never stands in anybody's way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sdrest.core.errors import Cancelled
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.engine.last_model import LastModel
from tests.stub_child import Behaviour
from tests.stub_engine import StubEngine

Start = Callable[..., Awaitable[Engine]]


def nothing(_report: messages.Report) -> None:
    pass


class Heard:
    """The contexts that an engine loads."""

    def __init__(self, engine: Engine) -> None:
        self.paths: list[str] = []
        self.some = asyncio.Event()
        engine.follow(self._hear, lambda: None)

    def _hear(self, report: messages.ContextChanged) -> None:
        self.paths.append(report.path)
        self.some.set()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the last model is kept."""
    return tmp_path / "engines" / "engine.json"


@pytest.fixture
def load(tmp_path: Path) -> messages.Load:
    """A model to load."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weights")
    return messages.Load(task="first", context=messages.ContextSpec(files=(("model", str(path)),)))


@pytest.fixture
async def start(stub_engine: StubEngine, kept: Path) -> AsyncIterator[Start]:
    """Starts engines that load what the one before has loaded; they are stopped after the test."""
    made: list[Engine] = []

    async def make(behaviour: Behaviour = Behaviour.GOOD, holding: str = "as usual") -> Engine:
        for engine in made:
            await engine.stop()
        stub_engine.behave(behaviour)
        engine = Engine(cancel_grace_seconds=60, hang_seconds=60, command=stub_engine.command)
        made.append(engine)
        await engine.start()
        LastModel(engine, kept, holding=holding, budget_bytes=0).begin()
        return engine

    yield make
    for engine in made:
        await engine.stop()


async def test_it_is_loaded_again_and_kept_again(start: Start, load: messages.Load, kept: Path) -> None:
    await (await start()).run(load, nothing)
    for _ in range(2):
        heard = Heard(await start())
        await heard.some.wait()
        assert heard.paths == [load.context.main]
        assert kept.exists()


async def test_who_comes_later_hears_of_it(start: Start, load: messages.Load) -> None:
    engine = await start()
    await engine.run(load, nothing)
    assert Heard(engine).paths == [load.context.main]


async def test_one_that_ends_the_engine_is_not_tried_again(
    start: Start, load: messages.Load, stub_engine: StubEngine, kept: Path
) -> None:
    await (await start()).run(load, nothing)
    engine = await start(Behaviour.DYING)
    while engine.restarts == 0:
        await asyncio.sleep(0.01)
    assert not kept.exists()
    stub_engine.behave(Behaviour.GOOD)
    await engine.run(load, nothing)
    assert kept.exists()


@pytest.mark.parametrize("what", ["freed", "changed", "gone", "held otherwise", "not JSON"])
async def test_what_is_not_the_same_any_more_is_not_loaded(
    start: Start, load: messages.Load, kept: Path, what: str
) -> None:
    engine = await start()
    await engine.run(load, nothing)
    path = Path(load.context.main)
    match what:
        case "freed":
            await engine.run(messages.Unload(task="unload"), nothing)
        case "changed":
            later = kept.stat().st_mtime + 10
            os.utime(path, (later, later))
        case "gone":
            path.unlink()
        case "not JSON":
            kept.write_bytes(b"{")
        case _:
            pass
    engine = await start(holding="with other threads" if what == "held otherwise" else "as usual")
    heard = Heard(engine)
    path.write_bytes(b"other weights")
    other = messages.Load(task="other", context=messages.ContextSpec(files=(("model", "other.gguf"),)))
    await engine.run(other, nothing)
    assert heard.paths == ["other.gguf"]


async def test_a_task_that_has_no_use_for_it_ends_it(start: Start, load: messages.Load) -> None:
    await (await start()).run(load, nothing)
    engine = await start(Behaviour.SLOW)  # the load goes on until it is cancelled
    unload = asyncio.create_task(engine.run(messages.Unload(task="unload"), nothing))
    await asyncio.sleep(0)
    while not engine._is_sent("unload"):
        await asyncio.sleep(0.01)
    engine.cancel("unload")
    with pytest.raises(Cancelled):
        await unload


async def test_a_task_that_is_cancelled_while_it_waits_ends_it(start: Start, load: messages.Load) -> None:
    await (await start()).run(load, nothing)
    engine = await start(Behaviour.SLOW)
    same = asyncio.create_task(engine.run(load, nothing))
    await asyncio.sleep(0)
    engine.cancel(load.task)
    with pytest.raises(Cancelled):
        await same
