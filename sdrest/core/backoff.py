"""Pauses between tries at something that fails."""

from __future__ import annotations

from typing import Final

_GROWTH: Final = 2.0


class Backoff:
    """Each pause is twice as long as the one before it, up to a bound; after a try that lived a while they begin anew.

    Args:
        first_seconds: The first pause.
        longest_seconds: The bound.
        stable_seconds: A try that lived this long has shown that it can.
    """

    def __init__(
        self, first_seconds: float = 0.1, longest_seconds: float = 30.0, *, stable_seconds: float = 10.0
    ) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._stable_seconds = stable_seconds
        self._next_seconds = first_seconds

    def after(self, lived_seconds: float) -> float:
        """The pause after a try that ended ``lived_seconds`` after it began; in seconds."""
        if lived_seconds >= self._stable_seconds:
            self._next_seconds = self._first_seconds
        pause = self._next_seconds
        self._next_seconds = min(self._longest_seconds, pause * _GROWTH)
        return pause
