"""Slowing down guessing: failed logins are counted for each account and for each address, and lock both for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sdrest.core.errors import TooManyRequests

#: An address may be shared by many people (NAT), so it may fail more often than an account.
_ADDRESS_FACTOR: Final = 4
#: Accounts and addresses remembered; the longest unused are forgotten first.
_REMEMBERED: Final = 50_000


@dataclass(slots=True)
class _Failures:
    number: int = 0
    last: float = 0.0
    locked_until: float = 0.0


class LoginThrottle:
    """Counts failures. An attempt is counted when it begins, so that parallel attempts cannot slip through.

    After ``max_failures`` in a row the account is locked for a sixteenth of ``lockout_seconds``, then, with every further
    failure, for twice as long as before, up to ``lockout_seconds``. They are forgotten ``lockout_seconds`` after the last of
    them or the end of the lock.
    """

    def __init__(
        self, *, max_failures: int, lockout_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_failures = max_failures
        self._lockout_seconds = lockout_seconds
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def begin(self, account: str, address: str) -> None:
        """Count an attempt as failed until :meth:`succeeded` says otherwise.

        Raises:
            TooManyRequests: account or address is locked; the password must not be looked at.
        """
        now = self._clock()
        entries = [(self._entry(key, now), limit) for key, limit in self._limits(account, address)]
        wait = max(entry.locked_until - now for entry, _ in entries)
        if wait > 0:
            seconds = int(wait) + 1
            raise TooManyRequests(
                f"too many failed logins; try again in {seconds} seconds", retry_after_seconds=seconds
            )
        for entry, limit in entries:
            entry.number += 1
            entry.last = now
            excess = entry.number - limit
            if excess >= 0:
                entry.locked_until = now + self._lockout_seconds / 16 * 2 ** min(excess, 4)

    def succeeded(self, account: str, address: str) -> None:
        """The attempt was right: the account's count starts anew, the address gets this one back.

        An address keeps its other failures, so that one good account there does not buy free guesses at the others.
        """
        self._failures.pop(("account", account), None)
        entry = self._failures.get(("address", address))
        if entry is not None:
            entry.number = max(0, entry.number - 1)
            if entry.number < self._max_failures * _ADDRESS_FACTOR:
                entry.locked_until = 0.0

    def abandoned(self, account: str, address: str) -> None:
        """The attempt could not be judged: take it back from both."""
        for key, limit in self._limits(account, address):
            entry = self._failures.get(key)
            if entry is not None:
                entry.number = max(0, entry.number - 1)
                if entry.number < limit:
                    entry.locked_until = 0.0

    def _limits(self, account: str, address: str) -> list[tuple[tuple[str, str], int]]:
        return [
            (("account", account), self._max_failures),
            (("address", address), self._max_failures * _ADDRESS_FACTOR),
        ]

    def _entry(self, key: tuple[str, str], now: float) -> _Failures:
        entry = self._failures.get(key)
        if entry is None or now > max(entry.last, entry.locked_until) + self._lockout_seconds:
            entry = self._failures[key] = _Failures()
        self._failures.move_to_end(key)
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)
        return entry
