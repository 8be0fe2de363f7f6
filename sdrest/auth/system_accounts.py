"""Accounts of the operating system: who may log in, and as what."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import time
from collections.abc import Callable, Iterable
from typing import Final

from sdrest.core.principal import Role

#: How long an answer of the account database is good: it may be a directory server.
_REMEMBER_SECONDS: Final = 30.0
_REMEMBERED: Final = 1000


class SystemAccounts:
    """The rule from account to role.

    Root, the ``admin_users`` and the members of ``admin_group`` are admins. With ``allowed_group`` only its members and the admins
    may log in; without it everybody with an account.
    """

    def __init__(
        self,
        *,
        admin_users: Iterable[str] = (),
        admin_group: str = "",
        allowed_group: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._admin_users = frozenset(admin_users)
        self._admin_group = admin_group
        self._allowed_group = allowed_group
        self._clock = clock
        #: Name → (good until, answer).
        self._known: dict[str, tuple[float, tuple[str, Role] | None]] = {}

    async def role_of(self, name: str) -> tuple[str, Role] | None:
        """The account's own spelling of its name and its role; None when it may not log in."""
        now = self._clock()
        until, answer = self._known.get(name, (0.0, None))
        if now < until:
            return answer
        answer = await asyncio.to_thread(self._look_up, name)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[name] = (now + _REMEMBER_SECONDS, answer)
        return answer

    def _look_up(self, name: str) -> tuple[str, Role] | None:
        try:
            account = pwd.getpwnam(name)
        except (KeyError, ValueError):
            return None
        groups = set(_group_names(os.getgrouplist(account.pw_name, account.pw_gid)))
        if account.pw_uid == 0 or account.pw_name in self._admin_users or self._admin_group in groups:
            return account.pw_name, Role.ADMIN
        if self._allowed_group and self._allowed_group not in groups:
            return None
        return account.pw_name, Role.USER

    async def name_of(self, uid: int) -> str | None:
        """The name of the account with this number; None when there is none."""

        def find() -> str | None:
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:
                return None

        return await asyncio.to_thread(find)


def _group_names(numbers: Iterable[int]) -> Iterable[str]:
    for number in numbers:
        with contextlib.suppress(KeyError):
            yield grp.getgrgid(number).gr_name
