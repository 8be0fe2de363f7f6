"""How many rounds are taken: all of them, or the share that ``SDREST_BENCH_FRACTION`` (``--quick``: 0.15) says."""

from __future__ import annotations

import os
from typing import Final

FRACTION_VARIABLE: Final = "SDREST_BENCH_FRACTION"
QUICK_FRACTION: Final = 0.15


def some(rounds: int, least: int = 2) -> int:
    """The share of ``rounds`` that this run takes, at least ``least``."""
    return max(least, round(rounds * float(os.environ.get(FRACTION_VARIABLE, "1"))))
