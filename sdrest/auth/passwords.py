"""Passwords of local accounts: Argon2id with the library's defaults (RFC 9106, low memory), off the event loop."""

from __future__ import annotations

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sdrest.auth.accounts import AccountStore
from sdrest.auth.identity import Identity
from sdrest.core.errors import InvalidInput
from sdrest.core.principal import Role

MIN_CHARACTERS: Final = 8
MAX_CHARACTERS: Final = 1024
#: Verifications at a time: each takes 64 MiB and about 50 ms of a core.
_CONCURRENT: Final = 2


class Passwords:
    """Hashes and verifies."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(_CONCURRENT)
        self._dummy_hash = ""

    async def hash(self, password: str) -> str:
        """The hash to store.

        Raises:
            InvalidInput: the password is too short or too long.
        """
        if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
            raise InvalidInput(f"must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters", field="password")
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is right. Without a hash (no such account) it takes as long and says no."""
        if len(password) > MAX_CHARACTERS:
            return False
        async with self._slots:
            return await asyncio.to_thread(self._verify, password_hash, password)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        if not self._dummy_hash:
            self._dummy_hash = self._hasher.hash("no account has this password")
        try:
            self._hasher.verify(password_hash or self._dummy_hash, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)


class LocalAccounts:
    """The password checker of the accounts that this server keeps."""

    def __init__(self, store: AccountStore, passwords: Passwords) -> None:
        self._store = store
        self._passwords = passwords

    async def check(self, username: str, password: str) -> Identity | None:
        """Who this is, or None when name or password is wrong."""
        account = await self._store.get_account(username)
        if not await self._passwords.verify(account.password_hash if account else None, password):
            return None
        assert account is not None
        if self._passwords.is_outdated(account.password_hash):
            await self._store.rehash(account.name, account.password_hash, await self._passwords.hash(password))
        return Identity(account.name, account.role, "jwt", proof=account.password_hash)

    async def role_of(self, name: str) -> Role | None:
        """The account's role, or None when there is no such account."""
        account = await self._store.get_account(name)
        return account.role if account else None

    async def still(self, identity: Identity) -> Identity | None:
        """The identity as it is now, or None when the account is gone or its password has changed."""
        account = await self._store.get_account(identity.name)
        if account is None or (identity.proof and identity.proof != account.password_hash):
            return None
        return Identity(account.name, account.role, "jwt", proof=identity.proof)
