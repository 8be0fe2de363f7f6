"""API keys: 256 random bits, shown once, kept as SHA-256. No slow hash is needed for a secret that cannot be guessed."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sdrest.auth.accounts import AccountStore, ApiKey
from sdrest.auth.identity import Identity
from sdrest.core.errors import FieldProblem, InvalidInput, NotFound, did_you_mean
from sdrest.core.principal import ROLE_PERMISSIONS, Permission, Role

#: Every key begins so: tools that look for leaked secrets can find it.
PREFIX: Final = "sdr_"
_KEY: Final = re.compile(re.escape(PREFIX) + r"[a-z2-7]{52}", re.ASCII)
_NAME: Final = re.compile(r"[\w.@ -]{1,64}")
#: What a key may do when nothing else is said.
DEFAULT_PERMISSIONS: Final = frozenset({Permission.VIEW, Permission.GENERATE})
#: Times of use are written at most this often.
_TOUCH_EVERY: Final = timedelta(minutes=1)


def looks_like_key(text: str) -> bool:
    """Whether ``text`` has the form of a key; nothing is said about whether it is one."""
    return _KEY.fullmatch(text) is not None


def parse_permissions(names: Iterable[str], *, field: str = "scopes") -> frozenset[Permission]:
    """Permissions by name; ``view`` is always among them, for who may do something must see it.

    Raises:
        InvalidInput: a name is unknown.
    """
    found, problems = {Permission.VIEW}, []
    for name in names:
        try:
            found.add(Permission(name.strip().lower()))
        except ValueError:
            near = did_you_mean(name, Permission)
            problems.append(FieldProblem(field, f"unknown permission {name!r}{near}; known: {', '.join(Permission)}"))
    if problems:
        raise InvalidInput(problems)
    return frozenset(found)


class ApiKeys:
    """Creates, finds and revokes keys. Also the password checker of the mode ``api-key``: the password is a key."""

    def __init__(
        self,
        store: AccountStore,
        *,
        owner_role: Callable[[str], Awaitable[Role | None]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        #: The role of an account now; None when it is gone or may not log in. A key never outlives or outranks its owner.
        self._owner_role = owner_role
        self._clock = clock

    async def create(
        self, name: str, *, owner: str = "", permissions: frozenset[Permission], expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which nobody can show again.

        Raises:
            InvalidInput: the name is not fit, there is no such owner, or the key would have expired already.
            Conflict: the name is taken.
        """
        if owner and await self._owner_role(owner) is None:
            raise InvalidInput(f"there is no account {owner!r} that may log in", field="owner")
        if not _NAME.fullmatch(name) or name != name.strip():
            raise InvalidInput("must be 1 to 64 letters, digits, spaces or . @ - _", field="name")
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise InvalidInput("must be in the future", field="expires_at")
        text = PREFIX + base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=").lower()
        key = ApiKey(
            id=secrets.token_hex(8),
            name=name,
            owner=owner,
            permissions=permissions,
            digest=_digest(text),
            hint=text[: len(PREFIX) + 4],
            created_at=now,
            expires_at=expires_at,
        )
        await self._store.add_key(key)
        return key, text

    async def list(self) -> Sequence[ApiKey]:
        """All keys, oldest first."""
        return await self._store.keys()

    async def get(self, wanted: str) -> ApiKey:
        """The key with this id or name.

        Raises:
            NotFound: there is none.
        """
        keys = await self._store.keys()
        found = next((key for key in keys if key.id == wanted), None) or next(
            (key for key in keys if key.name == wanted), None
        )
        if found is None:
            raise NotFound(f"no API key {wanted!r}{did_you_mean(wanted, [key.name for key in keys])}")
        return found

    async def revoke(self, wanted: str) -> ApiKey:
        """Delete the key with this id or name; it stops working at once.

        Raises:
            NotFound: there is none.
        """
        found = await self.get(wanted)
        if not await self._store.remove_key(found.id):
            raise NotFound(f"no API key {wanted!r}")
        return found

    async def identify(self, text: str) -> Identity | None:
        """Whose key this is, or None when it is none, was revoked, or has expired."""
        if not looks_like_key(text):
            return None
        key = await self._store.find_key(digest=_digest(text))
        if key is None:
            return None
        if key.last_used_at is None or self._clock() - key.last_used_at >= _TOUCH_EVERY:
            await self._store.touch_key(key.id, self._clock())
        return await self._identity(key)

    async def check(self, username: str, password: str) -> Identity | None:
        """The password alone decides: clients that insist on a user name may send any."""
        del username
        return await self.identify(password)

    async def still(self, identity: Identity) -> Identity | None:
        """The identity as it is now, or None when the key was revoked or has expired."""
        key = await self._store.find_key(key_id=identity.api_key_id)
        return await self._identity(key) if key else None

    async def _identity(self, key: ApiKey) -> Identity | None:
        if key.expires_at is not None and key.expires_at <= self._clock():
            return None
        permissions = key.permissions
        if key.owner:
            role = await self._owner_role(key.owner)
            if role is None:
                return None
            allowed = ROLE_PERMISSIONS[role]
            permissions = allowed if Permission.ADMIN in key.permissions else key.permissions & allowed
        return Identity(
            key.owner or key.subject,
            _role(permissions),
            "api-key",
            api_key_id=key.id,
            key=key.subject if key.owner else "",
            permissions=permissions,
        )


def _role(permissions: frozenset[Permission]) -> Role:
    """The role that says most nearly what the permissions allow."""
    if Permission.ADMIN in permissions:
        return Role.ADMIN
    return Role.USER if Permission.GENERATE in permissions else Role.VIEWER


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
