"""The same secrets on all servers that share a database: what one of them has signed is good on every other."""

from __future__ import annotations

from typing import Any, Final, Protocol

from sdrest.auth.keyring import KeyRing

_KEY: Final = "auth.secrets"


class Values(Protocol):
    """Small values that all servers see."""

    async def get_value(self, key: str) -> Any:
        """The value, or None."""
        ...

    async def set_value(self, key: str, value: Any) -> None:
        """Keep the value."""
        ...


class SharedRing:
    """A ring whose secrets are kept in the database as well; the file is this server's copy."""

    def __init__(self, ring: KeyRing, values: Values) -> None:
        self._ring = ring
        self._values = values

    async def agree(self) -> None:
        """Take over the secrets of the database, or lay this server's there where it has none.

        Raises:
            InvalidInput: what is in the database is no ring.
        """
        kept = await self._values.get_value(_KEY)
        if kept is None:
            await self.keep()
        elif kept != self._ring.text():
            self._ring.take_over(kept)

    async def keep(self) -> None:
        """Lay this server's secrets into the database, for all others to take over."""
        self._ring.open()
        await self._values.set_value(_KEY, self._ring.text())
