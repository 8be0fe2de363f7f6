"""What the stores need of a database, whichever it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from sdrest.core.errors import Unavailable

T = TypeVar("T")

#: Changes that are made one after another, each kind by itself: those that judge by what is there before they write.
EVERYTHING: Final = "everything"
ADDING: Final = "adding"
CLAIMING: Final = "claiming"
#: A change of one row that it names: it may be made beside all others.
ONE_ROW: Final = ""
#: An answer that takes longer may be one of the past: the session may have ended meanwhile, and with it the lock of the row.
LONGEST_ANSWER_SECONDS: Final = 5.0


class Cursor(Protocol):
    """What a statement has found or changed; rows are asked by column name or number."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """The next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """All further rows."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """All further rows."""
        ...


class Connection(Protocol):
    """Carries out statements; values are named ``:name`` in them, or stand for ``?`` in order."""

    def execute(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ..., /) -> Cursor:
        """Carry out one statement."""
        ...


class Database(Protocol):
    """Functions get a connection and must not keep it."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """The time that all who use the database go by."""
        ...

    async def open(self, *, server: str = "", alone: bool = False) -> None:
        """Connect, and bring the schema up to date: as the server of that id, or ``alone``, while no server may use it.

        Raises:
            SdrestError: it cannot be used; the message says why.
            Conflict: a server uses it that would have to be alone, or has this id, or this one would have to be alone.
        """
        ...

    async def close(self) -> None:
        """Finish what is being written and disconnect; safe to call twice."""
        ...

    def statements(self, file: str) -> dict[str, str]:
        """The statements of a store by name, as this database understands them."""
        ...

    async def write(self, change: Callable[[Any], T], *, durable: bool = True, alone: str = EVERYTHING) -> T:
        """Run ``change`` in one transaction; committed and on disk when this returns.

        With ``durable`` off, it may be lost with the machine. No two changes of a kind ``alone`` are made at a time.

        Raises:
            InsufficientStorage: the disk is full; nothing was written.
            OutcomeUnknown: the connection broke; if that was at the very end, everything was written.
            Unavailable: the database cannot be written for another reason; nothing was written.
        """
        ...

    async def read(self, query: Callable[[Any], T]) -> T:
        """Run ``query``; it sees everything committed before.

        Raises:
            Unavailable: the database cannot be read.
        """
        ...


def check_prompt(asked_at: float) -> None:
    """To be called before files are touched that go with a row which is locked: no transaction can put them back.

    Args:
        asked_at: ``time.monotonic()`` before the row was asked for.

    Raises:
        Unavailable: the answer has taken so long that somebody else may have the row by now.
    """
    took = time.monotonic() - asked_at
    if took > LONGEST_ANSWER_SECONDS:
        raise Unavailable(f"the database took {took:.0f} s to answer: what it said may not hold any more")
