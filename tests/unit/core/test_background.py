"""A loop beside the requests outlives whatever it raises, and says what that was."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sdrest.core.background import Background, Backgrounds, LoopState
from sdrest.core.backoff import Backoff
from sdrest.core.errors import InsufficientStorage

AT_ONCE = Backoff(0, 0)


class Raising:
    """A loop that raises each of ``errors`` in turn, and then waits for ever."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.waiting = asyncio.Event()
        self.cleaned_up = False

    async def run(self) -> None:
        if self._errors:
            raise self._errors.pop(0)
        try:
            self.waiting.set()
            await asyncio.Event().wait()
        finally:
            self.cleaned_up = True


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InsufficientStorage("the disk is full"), "InsufficientStorage: the disk is full"),
        (OSError(28, "No space left on device", "/home/anna/sdrest"), "OSError: No space left on device"),
        (KeyError("a prompt"), "KeyError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
    ids=["ours", "system", "any", "cancelled-inside"],
)
async def test_what_a_loop_raises_is_logged_with_its_trace_and_it_begins_again(
    error: BaseException, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    work = Raising(error)
    loop = Background("sweeper", work.run, backoff=AT_ONCE)
    with caplog.at_level(logging.ERROR):
        loop.start()
        await work.waiting.wait()
    assert (loop.state, loop.restarts, loop.last_error) == (LoopState.RUNNING, 1, said)
    (record,) = caplog.records
    assert "sweeper" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    await loop.stop()


async def test_while_it_pauses_it_is_alive_and_restarting() -> None:
    work = Raising(ValueError())
    loop = Background("sweeper", work.run, backoff=Backoff(3600, 3600))
    loop.start()
    while loop.state is LoopState.RUNNING:
        await asyncio.sleep(0)
    assert (loop.state, loop.is_alive, loop.restarts) == (LoopState.RESTARTING, True, 0)
    await loop.stop()
    assert (loop.state, loop.is_alive) == (LoopState.STOPPED, False)


async def test_stopping_lets_it_clean_up() -> None:
    work = Raising()
    loop = Background("sweeper", work.run)
    assert loop.state is LoopState.STOPPED
    loop.start()
    loop.start()
    await work.waiting.wait()
    await loop.stop()
    assert work.cleaned_up
    assert (loop.state, loop.restarts, loop.last_error) == (LoopState.STOPPED, 0, "")
    await loop.stop()


async def test_an_error_while_it_is_stopped_does_not_start_it_again() -> None:
    waiting = asyncio.Event()

    async def run() -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            raise InsufficientStorage("nothing can be written")

    loop = Background("sweeper", run, backoff=AT_ONCE)
    loop.start()
    await waiting.wait()
    await loop.stop()
    assert (loop.state, loop.restarts) == (LoopState.STOPPED, 0)


async def test_a_loop_that_returns_has_nothing_to_do() -> None:
    async def run() -> None:
        return

    loop = Background("sweeper", run)
    loop.start()
    while loop.is_alive:
        await asyncio.sleep(0)
    await loop.stop()
    assert loop.state is LoopState.DONE


async def test_loops_are_known_in_their_order_and_end_in_the_opposite_one() -> None:
    ended: list[str] = []

    def named(name: str) -> Background:
        async def run() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)

        return Background(name, run)

    loops = Backgrounds()
    async with loops.running(named("first"), named("second")):
        await asyncio.sleep(0)
        async with loops.running(named("third")):
            await asyncio.sleep(0)
            assert [loop.name for loop in loops if loop.is_alive] == ["first", "second", "third"]
    assert ended == ["third", "second", "first"]


def test_pauses_double_up_to_their_bound_and_begin_anew_after_a_long_life() -> None:
    backoff = Backoff(1, 5, stable_seconds=10)
    assert [backoff.after(0) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert [backoff.after(lived) for lived in (9.9, 10, 0)] == [5, 1, 2]
