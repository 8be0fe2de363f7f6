"""Keeping the accounts: add, list, change, remove. Used by the command line and by the admin's routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sdrest.auth.accounts import ACCOUNT_ROLES, Account, AccountStore, checked_account_name
from sdrest.auth.audit import record
from sdrest.auth.passwords import Passwords
from sdrest.core.errors import InvalidInput, NotFound, did_you_mean
from sdrest.core.principal import Role


class Directory:
    """The accounts that this server keeps."""

    def __init__(
        self,
        store: AccountStore,
        passwords: Passwords,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._clock = clock

    async def add(self, name: str, password: str, role: Role) -> Account:
        """A new account.

        Raises:
            InvalidInput: name, password or role is not fit.
            Conflict: the name is taken.
        """
        checked_account_name(name)
        _check_role(role)
        now = self._clock()
        password_hash = await self._passwords.hash(password)
        account = Account(name=name, role=role, password_hash=password_hash, created_at=now, password_changed_at=now)
        await self._store.add_account(account)
        record("account added", account=name, role=str(role))
        return account

    async def list(self) -> Sequence[Account]:
        """All accounts by name."""
        return await self._store.accounts()

    async def set_password(self, name: str, password: str) -> None:
        """Change a password; the account's sessions end.

        Raises:
            InvalidInput: the password is not fit.
            NotFound: there is no such account.
        """
        if not await self._store.set_password(name, await self._passwords.hash(password), self._clock()):
            raise await self._unknown(name)
        record("password changed", account=name)

    async def set_role(self, name: str, role: Role) -> None:
        """Change a role; it counts from the next request on.

        Raises:
            InvalidInput: accounts cannot have this role.
            NotFound: there is no such account.
            Conflict: it is the last admin.
        """
        _check_role(role)
        if not await self._store.set_role(name, role):
            raise await self._unknown(name)
        record("role changed", account=name, role=str(role))

    async def remove(self, name: str) -> None:
        """Delete an account with its API keys; its sessions end. Its jobs and pictures stay, for admins to see.

        Raises:
            NotFound: there is no such account.
            Conflict: it is the last admin, and other accounts are left.
        """
        if not await self._store.remove_account(name, self._clock()):
            raise await self._unknown(name)
        record("account removed", account=name)

    async def _unknown(self, name: str) -> NotFound:
        names = [account.name for account in await self._store.accounts()]
        return NotFound(f"there is no account {name!r}{did_you_mean(name, names)}")


def _check_role(role: Role) -> None:
    if role not in ACCOUNT_ROLES:
        raise InvalidInput(f"must be one of: {', '.join(ACCOUNT_ROLES)}", field="role")
