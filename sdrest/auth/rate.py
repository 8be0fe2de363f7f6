"""Requests per minute of one principal: a token bucket each."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from sdrest.core.errors import TooManyRequests

#: Principals remembered; the longest unused are forgotten first, and start with a full bucket when they come back.
_REMEMBERED: Final = 50_000


class RateLimit:
    """``per_minute`` requests a minute for each name, in bursts of up to as many; 0: no limit."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        #: Name → (tokens left, time of the last look in seconds).
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: the bucket is empty.
        """
        if not self._per_minute:
            return
        now = self._clock()
        rate = self._per_minute / 60
        left, seen = self._buckets.get(name, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - seen) * rate)
        if left < 1:
            self._buckets[name] = (left, now)
            wait = math.ceil((1 - left) / rate)
            raise TooManyRequests(
                f"more than {self._per_minute} requests a minute; try again in {wait} seconds", retry_after_seconds=wait
            )
        self._buckets[name] = (left - 1, now)
        self._buckets.move_to_end(name)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
