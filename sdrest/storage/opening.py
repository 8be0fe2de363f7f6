"""Which database a server keeps everything in."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sdrest.core.errors import InvalidInput
from sdrest.settings import Settings
from sdrest.storage.sql.database import Database
from sdrest.storage.sqlite.database import Database as SqliteDatabase

if TYPE_CHECKING:
    from sdrest.storage.postgres.board import PostgresBoard
    from sdrest.storage.postgres.channel import PostgresChannel

#: How addresses of PostgreSQL databases begin.
SCHEMES: Final = ("postgresql://", "postgres://")


def database_of(settings: Settings) -> Database:
    """The database of the settings, not opened: the one at their address, else the file in the data folder.

    Raises:
        InvalidInput: as :func:`database_at`.
    """
    return database_at(settings.database.get_secret_value() or str(settings.database_file))


def database_at(place: str) -> Database:
    """The database at an address, or in a file.

    Raises:
        InvalidInput: the address is of no kind that is known, or what it takes is not installed.
    """
    if not place.startswith(SCHEMES):
        if "://" in place:
            raise InvalidInput(f"an address of a database begins with {SCHEMES[0]}", field="database")
        return SqliteDatabase(Path(place))
    if find_spec("psycopg") is None or find_spec("psycopg_pool") is None:
        raise InvalidInput("PostgreSQL needs more: pip install 'sdrest[cluster]'", field="database")
    from sdrest.storage.postgres.database import PostgresDatabase  # noqa: PLC0415 - it may not be installed

    return PostgresDatabase(place)


def channel_of(database: Database, server: Callable[[], str], name: str) -> PostgresChannel | None:
    """The way to the other servers on a database, for the one of an id and a name; None where a server is alone on it."""
    if isinstance(database, SqliteDatabase):
        return None
    from sdrest.storage.postgres.channel import PostgresChannel  # noqa: PLC0415 - psycopg may not be installed
    from sdrest.storage.postgres.database import PostgresDatabase  # noqa: PLC0415

    assert isinstance(database, PostgresDatabase)
    return PostgresChannel(database, server, name)


def board_of(database: Database, server: Callable[[], str]) -> PostgresBoard | None:
    """Where the servers on a database tell each other of their workers; None where a server is alone on it."""
    if isinstance(database, SqliteDatabase):
        return None
    from sdrest.storage.postgres.board import PostgresBoard  # noqa: PLC0415 - psycopg may not be installed
    from sdrest.storage.postgres.database import PostgresDatabase  # noqa: PLC0415

    assert isinstance(database, PostgresDatabase)
    return PostgresBoard(database, server)
