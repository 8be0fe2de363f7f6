"""How long the library's threads stay awake while they wait for each other: long while the processors are theirs, short else.

ggml's threads meet after every operation of a graph. On a processor that is free they should wait awake: to be woken takes longer
than a small operation, twice as long for a whole small picture. Beside busy processes that costs many times as much: a thread that
waits awake keeps the one that it waits for from its processor.

libgomp reads the bound of its waiting (``GOMP_SPINCOUNT``) once, at its start, but has a second, short one for the time in which it
manages more threads than there are processors (``gomp_throttled_spin_count_var`` in its ``env.c``). So a thread that holds a pool
of sleeping threads makes all others impatient for as long as it lives.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import psutil

from sdrest.engine.child.environment import SPIN_COUNT

#: Use by others is told over at least that long: the kernel counts in hundredths of a second.
_WINDOW_SECONDS: Final = 0.25
#: What others may use of the processors that the library's threads need, before these give way. In processors.
_TOLERATED: Final = 0.5


class Neighbours:
    """How much of the processors that this process may use others use while it computes itself.

    Args:
        used: Seconds that everybody has computed on these processors, and that this process has, since any beginning.
        clock: Seconds since any beginning.
    """

    def __init__(self, used: Callable[[], tuple[float, float]], clock: Callable[[], float] = time.monotonic) -> None:
        self._used = used
        self._clock = clock
        self._before = (clock(), *used())
        #: What has been seen since :attr:`share` was told.
        self._seconds = self._others = 0.0
        #: The number of processors that others used when this was told last, the best guess for what comes next; at first one, so
        #: that only a machine with processors to spare is trusted.
        self.share = 1.0

    def begin(self) -> None:
        """The own work begins: what was before tells nothing of it."""
        self._before = (self._clock(), *self._used())

    def look(self, least_seconds: float = 0.0) -> None:
        """See what others did since the beginning or the last look, unless that is less than so many seconds ago."""
        now, (then, all_then, own_then) = self._clock(), self._before
        if now - then < least_seconds:
            return
        everybody, own = self._used()
        self._before = now, everybody, own
        self._seconds += now - then
        self._others += max(0.0, (everybody - all_then) - (own - own_then))
        if self._seconds >= _WINDOW_SECONDS:
            self.share = self._others / self._seconds
            self._seconds = self._others = 0.0


def seconds_used() -> tuple[float, float]:
    """See :class:`Neighbours`; what a hypervisor takes away is nobody's."""
    mine = _processors()
    times = [times for number, times in enumerate(psutil.cpu_times(percpu=True)) if number in mine]
    return sum(t.user + t.nice + t.system + t.irq + t.softirq for t in times), time.process_time()


def _processors() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {*range(os.cpu_count() or 1)}


class Patience:
    """Fits the waiting of libgomp's threads to what others do; one thread uses it.

    Args:
        libgomp: The one that the native library has loaded.
        neighbours: Who else computes.
    """

    def __init__(self, libgomp: ctypes.CDLL, neighbours: Neighbours) -> None:
        self._libgomp = libgomp
        self._neighbours = neighbours
        self._number = len(_processors())
        self._threads = 1
        self._holder: _Holder | None = None

    @classmethod
    def of_this_process(cls) -> Self | None:
        """None where there is nothing to fit: no libgomp is loaded, or the user has decided how threads wait."""
        libgomp = loaded_libgomp()
        is_ours = os.environ.get("GOMP_SPINCOUNT") == str(SPIN_COUNT)
        return cls(libgomp, Neighbours(seconds_used)) if libgomp and is_ours else None

    @property
    def is_short(self) -> bool:
        """Whether threads fall asleep soon."""
        return self._holder is not None

    def begin(self, threads: int) -> None:
        """A task of so many threads begins."""
        self._threads = threads
        self._neighbours.begin()
        self._fit()

    def go_on(self) -> None:
        """The task has come further."""
        self._neighbours.look(_WINDOW_SECONDS)
        self._fit()

    def end(self) -> None:
        """The task has ended."""
        self._neighbours.look()

    def _fit(self) -> None:
        is_crowded = self._neighbours.share > self._number - self._threads + _TOLERATED
        if is_crowded and self._holder is None:
            self._holder = _Holder(self._libgomp, max(2, self._number - self._threads + 2))
        elif not is_crowded and self._holder is not None:
            self._holder.end()
            self._holder = None


class _Holder:
    """A thread with a pool of so many that sleep; they go with it."""

    def __init__(self, libgomp: ctypes.CDLL, number: int) -> None:
        self._has_pool = threading.Event()
        self._may_end = threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(libgomp, number), name="impatience", daemon=True)
        self._thread.start()
        self._has_pool.wait()

    def _hold(self, libgomp: ctypes.CDLL, number: int) -> None:
        nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # of no address: it does nothing
        try:
            libgomp.GOMP_parallel(nothing, None, ctypes.c_uint(number), ctypes.c_uint(0))
        finally:
            self._has_pool.set()
        self._may_end.wait()

    def end(self) -> None:
        """Let them go."""
        self._may_end.set()
        self._thread.join()


def loaded_libgomp(maps: Path = Path("/proc/self/maps")) -> ctypes.CDLL | None:
    """The libgomp that this process has loaded; None where it has none. Of several, the last one: the native library's."""
    try:
        found = re.findall(
            r"(/\S*libgomp\S*\.so\S*)$", maps.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
    except OSError:
        return None
    return ctypes.CDLL(found[-1]) if found else None
