"""How many threads a computation may usefully have on this machine."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Final

import psutil

#: ``quota period`` in microseconds, or ``max period`` (https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu).
_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(limit_file: Path = _CGROUP_LIMIT) -> int:
    """Physical cores, but no more than this process may use: by its affinity, and by the quota of its container.

    0 on macOS: the library knows there which cores are the fast ones. Elsewhere it counts the machine's cores: where it may use
    fewer, its threads wait for each other at every operation. Two threads on the halves of one core gain nothing for matrix
    products.
    """
    if sys.platform == "darwin":
        return 0
    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed, _quota(limit_file) or physical))


def share_of(cores: int, engines: int) -> int:
    """The threads of each of so many engines; 0 where the library is to choose."""
    return cores and max(1, cores // engines)


def _quota(limit_file: Path) -> int | None:
    """Processors that the container's quota amounts to, rounded up; None without one."""
    try:
        quota, period = limit_file.read_text(encoding="ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
