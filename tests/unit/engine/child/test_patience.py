"""How the engine fits the waiting of the library's threads to what other processes do."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

import pytest

from sdrest.engine.child.environment import SPIN_COUNT
from sdrest.engine.child.patience import Neighbours, Patience, loaded_libgomp

linux = pytest.mark.skipif(sys.platform != "linux", reason="libgomp is Linux's")


class Machine:
    """What processes have computed, and the time."""

    def __init__(self) -> None:
        self.now = self.everybody = self.own = 0.0
        self.neighbours = Neighbours(lambda: (self.everybody, self.own), lambda: self.now)

    def passes(self, seconds: float, *, others: float, own: float = 0.0) -> None:
        """Time goes by in which others and this process use so many processors."""
        self.now += seconds
        self.own += own * seconds
        self.everybody += (others + own) * seconds


def test_neighbours_are_told_apart_from_the_own_work() -> None:
    machine = Machine()
    machine.neighbours.begin()
    machine.passes(1.0, others=0.5, own=1.5)
    machine.neighbours.look()
    assert machine.neighbours.share == pytest.approx(0.5)
    machine.passes(10.0, others=0.0, own=2.0)
    machine.neighbours.look()
    assert machine.neighbours.share == 0.0


def test_what_others_do_between_two_tasks_tells_nothing() -> None:
    machine = Machine()
    machine.passes(60.0, others=2.0)
    machine.neighbours.begin()
    machine.passes(0.5, others=0.0, own=2.0)
    machine.neighbours.look()
    assert machine.neighbours.share == 0.0


def test_short_tasks_tell_together_what_none_of_them_does() -> None:
    machine = Machine()
    for _ in range(3):
        assert machine.neighbours.share == 1.0, "nothing is known yet: one is taken to be there"
        machine.neighbours.begin()
        machine.passes(0.1, others=0.7, own=1.0)
        machine.neighbours.look()
        machine.passes(1.0, others=0.0)
    assert machine.neighbours.share == pytest.approx(0.7)


def test_a_look_too_soon_is_none() -> None:
    machine = Machine()
    machine.neighbours.begin()
    machine.passes(0.3, others=2.0)
    machine.neighbours.look(0.5)
    assert machine.neighbours.share == 1.0
    machine.passes(0.3, others=2.0)
    machine.neighbours.look(0.5)
    assert machine.neighbours.share == pytest.approx(2.0)


@linux
def test_threads_grow_impatient_while_others_need_their_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdrest.engine.child.patience._processors", lambda: {0, 1, 2, 3})
    machine = Machine()
    patience = Patience(ctypes.CDLL("libgomp.so.1"), machine.neighbours)
    before = threads()
    patience.begin(4)
    assert patience.is_short, "nothing is known yet: somebody is taken to be there"
    patience.begin(2)
    assert not patience.is_short, "no neighbour of two threads on four processors is one too many"
    machine.passes(1.0, others=1.5, own=2.0)
    patience.go_on()
    patience.end()
    assert not patience.is_short, "two processors are free for two threads"
    wait_for_threads(before)
    patience.begin(4)
    assert patience.is_short, "others are taken to go on"
    held = threads()
    # All of them and the pool are more than the four processors.
    assert held > before
    machine.passes(1.0, others=0.6, own=2.0)
    patience.go_on()
    assert (patience.is_short, threads()) == (True, held)
    machine.passes(1.0, others=0.0, own=4.0)
    patience.go_on()
    assert not patience.is_short
    wait_for_threads(before)


def threads() -> int:
    """How many threads this process has."""
    return len([*Path("/proc/self/task").iterdir()])


def wait_for_threads(number: int) -> None:
    """Until this process has no more than so many again: they end one after another."""
    while threads() > number:
        time.sleep(0.01)


@linux
def test_a_user_who_has_decided_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ctypes.CDLL("libgomp.so.1")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert Patience.of_this_process() is None
    monkeypatch.setenv("GOMP_SPINCOUNT", str(SPIN_COUNT))
    assert Patience.of_this_process() is not None


def test_without_libgomp_there_is_none(tmp_path: Path) -> None:
    assert loaded_libgomp(tmp_path / "maps") is None
    (tmp_path / "maps").write_text("7f0-7f1 r-xp 00000000 08:01 5 /usr/lib/libc.so.6\n")
    assert loaded_libgomp(tmp_path / "maps") is None
