"""Whose turn it is, and what ends a task or one of its pictures: whatever comes at whatever moment hits what was meant."""

from __future__ import annotations

import pytest

from sdrest.engine.child.binding import Cancelled
from sdrest.engine.child.turns import Turns


class Calls:
    """Notes whether the running call, or else the next one, is to end."""

    ending = False

    def cancel(self) -> None:
        self.ending = True

    def arm(self) -> None:
        self.ending = False


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def turns(calls: Calls) -> Turns:
    turns = Turns(calls)
    turns.start("a")
    return turns


def test_the_picture_that_is_being_made_is_ended_and_the_task_goes_on(turns: Turns, calls: Calls) -> None:
    assert turns.begin(1)
    turns.skip("a", 1)
    assert calls.ending
    assert turns.end()
    assert not calls.ending
    assert turns.begin(2)


def test_one_that_was_finished_all_the_same_ends_nothing_else(turns: Turns, calls: Calls) -> None:
    turns.begin(1)
    turns.end()
    turns.skip("a", 1)
    assert not calls.ending
    assert turns.begin(2)
    assert not turns.end()


def test_a_later_picture_is_not_begun(turns: Turns, calls: Calls) -> None:
    turns.begin(1)
    turns.skip("a", 2)
    assert not calls.ending
    assert not turns.end()
    assert not turns.begin(2)
    assert turns.begin(3)


def test_a_cancel_wins_over_a_skip(turns: Turns, calls: Calls) -> None:
    turns.begin(1)
    turns.skip("a", 1)
    turns.cancel("a")
    assert not turns.end()
    assert calls.ending


def test_nothing_reaches_another_task(turns: Turns, calls: Calls) -> None:
    turns.begin(1)
    turns.skip("b", 1)
    turns.cancel("b")
    assert not calls.ending
    turns.skip("a", 1)
    turns.finish("a")
    with pytest.raises(Cancelled):
        turns.start("b")
    turns.finish("b")
    turns.start("c")
    assert not calls.ending
    assert turns.begin(1)
