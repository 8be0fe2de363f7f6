"""The database's clock, which all servers on it go by, whatever their own clocks say."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class DatabaseClock:
    """The time as the database last told it, and what has passed since; this machine's until it did.

    Args:
        seconds: Passes evenly, whatever is done to the machine's clock.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._told = datetime.now(UTC)
        self._at = seconds()

    def __call__(self) -> datetime:
        """The time now."""
        return self._told + timedelta(seconds=self._seconds() - self._at)

    def told(self, now: datetime) -> None:
        """The database says that it is ``now``."""
        self._told, self._at = now, self._seconds()
