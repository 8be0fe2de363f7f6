"""Accounts, sessions and API keys as values, and what is asked of the storage that keeps them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from sdrest.core.errors import InvalidInput
from sdrest.core.principal import Permission, Role

#: Names of guests and of keys without an owner hold a colon, so no account can be taken for one of them.
_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9_.@-]{0,63}", re.ASCII)

#: Roles an account may have; a guest has no account.
ACCOUNT_ROLES: Final = (Role.VIEWER, Role.USER, Role.ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person or program that logs in with a password kept by this server."""

    name: str
    role: Role
    #: Argon2id, in the PHC string format.
    password_hash: str
    created_at: datetime
    password_changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A login, from its first token to its logout. Tokens carry its id; a revoked session makes all of them invalid."""

    id: str
    principal: str
    #: Role at the time of the login, for accounts that this server does not keep.
    role: Role
    #: ``jwt``, ``unix``, ``pam``, ``oidc`` or ``api-key``.
    method: str
    #: Id of the API key it was opened with; empty otherwise.
    api_key_id: str = ""
    #: Id of the one refresh token that is good now; empty for a browser session.
    refresh_id: str = ""
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key for programs. The key itself is shown once; only its SHA-256 is kept."""

    id: str
    name: str
    #: Account whose jobs it sees and whose permissions bound its own; empty: a principal of its own.
    owner: str
    permissions: frozenset[Permission]
    #: SHA-256 of the key, in hex.
    digest: str
    #: Beginning of the key, to tell keys apart in lists.
    hint: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def subject(self) -> str:
        """What it is called where users and keys stand beside each other: no account's name holds a colon."""
        return f"key:{self.name}"


class AccountStore(Protocol):
    """Durable accounts, sessions and keys. Every method is atomic, and returns when the change is on disk."""

    async def add_account(self, account: Account) -> None:
        """Store a new account.

        Raises:
            Conflict: the name is taken.
        """
        ...

    async def get_account(self, name: str) -> Account | None:
        """The account, or None."""
        ...

    async def accounts(self) -> Sequence[Account]:
        """All accounts by name."""
        ...

    async def set_password(self, name: str, password_hash: str, now: datetime) -> bool:
        """Change the password and revoke all sessions of the account; False when there is no such account."""
        ...

    async def rehash(self, name: str, old_hash: str, new_hash: str) -> None:
        """Replace the hash of an unchanged password by one with today's parameters."""
        ...

    async def set_role(self, name: str, role: Role) -> bool:
        """Change the role; False when there is no such account.

        Raises:
            Conflict: it is the last admin.
        """
        ...

    async def remove_account(self, name: str, now: datetime) -> bool:
        """Delete the account with its keys and revoke its sessions; False when there is none.

        Raises:
            Conflict: it is the last admin, and other accounts are left.
        """
        ...

    async def add_session(self, session: Session) -> None:
        """Store a new session, and forget those that have expired."""
        ...

    async def get_session(self, session_id: str) -> Session | None:
        """The session, revoked or not, or None."""
        ...

    async def rotate(self, session_id: str, *, old: str, new: str, role: Role, expires_at: datetime) -> bool:
        """Make ``new`` the refresh id of a live session whose refresh id is ``old``; False when it is another."""
        ...

    async def revoke_session(self, session_id: str, now: datetime) -> None:
        """End the session."""
        ...

    async def add_key(self, key: ApiKey) -> None:
        """Store a new key.

        Raises:
            Conflict: the name is taken.
        """
        ...

    async def find_key(self, *, digest: str = "", key_id: str = "") -> ApiKey | None:
        """The key with this digest or id, expired or not, or None."""
        ...

    async def keys(self) -> Sequence[ApiKey]:
        """All keys, oldest first."""
        ...

    async def remove_key(self, key_id: str) -> bool:
        """Delete the key; False when there is none of that id."""
        ...

    async def touch_key(self, key_id: str, now: datetime) -> None:
        """Note that the key was used."""
        ...


def checked_account_name(name: str) -> str:
    """``name`` when it is fit for an account.

    Raises:
        InvalidInput: it is not.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "must be 1 to 64 small letters, digits or _ . @ - and begin with a letter, a digit or _", field="username"
        )
    return name
