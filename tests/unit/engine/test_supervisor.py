"""Whatever a child does, the supervisor goes on, says what is wrong, and has a good child as soon as there can be one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sdrest.core.background import LoopState
from sdrest.core.backoff import Backoff
from sdrest.core.errors import BackendMissing, EngineDied, EngineUnavailable
from sdrest.engine import messages
from sdrest.engine.supervisor import EngineState, Supervisor
from tests.stub_child import Behaviour
from tests.stub_engine import StubEngine

LOAD = messages.Load(task="load", context=messages.ContextSpec(files=(("model", "m.gguf"),)))


class Heard:
    """What a supervisor reported."""

    def __init__(self) -> None:
        self.reports: list[messages.Report] = []
        self.deaths: asyncio.Queue[EngineDied] = asyncio.Queue()


Factory = Callable[..., Supervisor]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def supervise(stub_engine: StubEngine, heard: Heard) -> AsyncIterator[Factory]:
    """Starts supervisors of stubs, with short pauses; they are stopped after the test."""
    made: list[Supervisor] = []

    def start(on_report: Callable[[messages.Report], None] = heard.reports.append, **more: Any) -> Supervisor:
        values = {"command": stub_engine.command, "hang_seconds": 60, "backoff": Backoff(0.01, 0.01), **more}
        supervisor = Supervisor(on_report, heard.deaths.put_nowait, **values)
        supervisor.loop.start()
        made.append(supervisor)
        return supervisor

    yield start
    for supervisor in made:
        await supervisor.stop()


async def test_a_good_child_becomes_ready(supervise: Factory) -> None:
    supervisor = supervise()
    assert supervisor.state is EngineState.STARTING
    assert (await supervisor.wait_ready()).version == "stub"
    assert (supervisor.state, supervisor.problem) == (EngineState.READY, None)


async def test_a_child_that_cannot_start_is_told_at_once_and_recovered_from_without_a_restart(
    supervise: Factory, stub_engine: StubEngine
) -> None:
    stub_engine.behave(Behaviour.CANNOT_START)
    supervisor = supervise()
    with pytest.raises(EngineUnavailable, match=r"cannot start: the library is missing \(exit status 1\)"):
        await supervisor.wait_ready()
    assert supervisor.state is EngineState.UNAVAILABLE
    with pytest.raises(EngineUnavailable):  # while it is being tried again as well
        await supervisor.wait_ready()
    stub_engine.behave(Behaviour.GOOD)
    await supervisor.until_ready()
    assert (supervisor.state, supervisor.problem) == (EngineState.READY, None)
    assert stub_engine.starts >= 2


async def test_a_command_that_is_not_there_makes_the_engine_unavailable(supervise: Factory) -> None:
    with pytest.raises(EngineUnavailable, match="cannot start"):
        await supervise(command=("/does/not/exist",)).wait_ready()


async def test_a_child_that_never_says_anything_is_given_up(supervise: Factory, stub_engine: StubEngine) -> None:
    stub_engine.behave(Behaviour.SILENT)
    supervisor = supervise(start_seconds=0.1, ping_seconds=0.05)
    with pytest.raises(EngineUnavailable, match="no sign of life"):
        await supervisor.wait_ready()


async def test_a_library_that_is_refused_is_told_with_its_reason(supervise: Factory) -> None:
    supervisor = supervise(refusal=lambda ready: f"no use for {ready.devices[0].backend}")
    with pytest.raises(BackendMissing, match="no use for CPU"):
        await supervisor.wait_ready()
    assert supervisor.state is EngineState.UNAVAILABLE
    assert supervisor.info is not None


@pytest.mark.parametrize("behaviour", [Behaviour.DYING, Behaviour.LYING, Behaviour.GARBAGE])
async def test_a_child_that_dies_or_sends_what_is_no_report_is_replaced(
    supervise: Factory, stub_engine: StubEngine, heard: Heard, behaviour: Behaviour
) -> None:
    stub_engine.behave(behaviour)
    supervisor = supervise()
    await supervisor.wait_ready()
    pid = supervisor.pid
    stub_engine.behave(Behaviour.GOOD)
    assert supervisor.child is not None
    await supervisor.child.send(LOAD)
    death = await heard.deaths.get()
    assert "SIGKILL" in death.message
    assert any(("out of luck" if behaviour is Behaviour.DYING else "no report") in word for word in death.log_tail)
    await supervisor.until_ready()
    assert supervisor.pid != pid
    assert (supervisor.loop.state, supervisor.loop.restarts) == (LoopState.RUNNING, 0)


async def test_a_child_that_does_not_answer_is_replaced(
    supervise: Factory, stub_engine: StubEngine, heard: Heard
) -> None:
    stub_engine.behave(Behaviour.DEAF)
    supervisor = supervise(hang_seconds=0.1, ping_seconds=0.05)
    await supervisor.wait_ready()
    death = await heard.deaths.get()
    assert "no sign of life" in death.log_tail[-1]


async def test_what_its_listener_raises_costs_the_report_and_not_the_child(supervise: Factory) -> None:
    handled = asyncio.Event()

    def on_report(report: messages.Report) -> None:
        if isinstance(report, messages.Done):
            handled.set()
        raise KeyError(report)

    supervisor = supervise(on_report)
    await supervisor.wait_ready()
    pid = supervisor.pid
    assert supervisor.child is not None
    await supervisor.child.send(LOAD)
    await handled.wait()
    assert supervisor.pid == pid
    assert supervisor.loop.restarts == 0


async def test_stopping_leaves_no_process_and_nobody_waiting(supervise: Factory, stub_engine: StubEngine) -> None:
    supervisor = supervise()
    await supervisor.wait_ready()
    pid = supervisor.pid
    assert pid is not None
    await supervisor.stop()
    assert supervisor.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EngineUnavailable, match="stopping"):
        await supervisor.wait_ready()
