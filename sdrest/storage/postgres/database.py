"""PostgreSQL from asyncio: threads that take connections from a pool, migrations, and changes of a kind one after another.

Durability is the server's own (``synchronous_commit``), with it off for changes that may be lost with the machine
(https://www.postgresql.org/docs/15/wal-async-commit.html).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import lru_cache
from importlib import resources
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

from sdrest.core.errors import Conflict, InsufficientStorage, InvalidInput, OutcomeUnknown, SdrestError, Unavailable
from sdrest.storage.postgres.clock import DatabaseClock
from sdrest.storage.sql.database import EVERYTHING
from sdrest.storage.sql.statements import statements

T = TypeVar("T")

_PACKAGE: Final = "sdrest.storage.postgres"
_CONNECTIONS: Final = 8
_CONNECT_SECONDS: Final = 10.0
#: Compiling statements costs more than any of ours takes. A session that has died in a transaction must not hold up the others,
#: nor keep dead rows from being removed.
_OPTIONS: Final = (
    "-c idle_in_transaction_session_timeout=60s -c statement_timeout=60s -c timezone=UTC -c jit=off "
    # A server that was cut off must not keep its locks for hours.
    "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
)
#: How every connection is made.
CONNECTING: Final[Mapping[str, Any]] = {
    "options": _OPTIONS,
    "application_name": "sdrest",
    "connect_timeout": int(_CONNECT_SECONDS),
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
#: Two changes that were in each other's way, or both made the first row of a key: each can be made again.
_AGAIN: Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
_TRIES: Final = 5


class Row(tuple[Any, ...]):  # noqa: SLOT001 - a tuple cannot have slots
    """A row whose values are asked by column name or number."""

    columns: Mapping[str, int]

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self.columns[key] if isinstance(key, str) else key)

    def keys(self) -> list[str]:
        """Names of the columns."""
        return [*self.columns]


def _rows(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Row]:
    columns = {column.name: number for number, column in enumerate(cursor.description or ())}

    def make(values: Sequence[Any]) -> Row:
        row = Row(values)
        row.columns = columns
        return row

    return make


@lru_cache(maxsize=1000)
def _translated(sql: str, *, named: bool) -> str:
    """A statement with the driver's marks for values."""
    escaped = sql.replace("%", "%%")
    return re.sub(r"(?<![:\w]):(\w+)", r"%(\1)s", escaped) if named else escaped.replace("?", "%s")


class PostgresConnection:
    """See :class:`sdrest.storage.sql.database.Connection`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = psycopg.ClientCursor(connection, row_factory=_rows)

    def execute(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """Carry out one statement; what the one before has found is gone then."""
        values: Any = (
            {name: _plain(value) for name, value in parameters.items()}
            if isinstance(parameters, Mapping)
            else [_plain(value) for value in parameters]
        )
        query: Any = _translated(sql, named=isinstance(parameters, Mapping))
        return self._cursor.execute(query, values)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


class PostgresDatabase:
    """One database, by the address of its server (``postgresql://…``); see :class:`sdrest.storage.sql.database.Database`."""

    def __init__(self, url: str) -> None:
        self.url = url
        #: The time, as the database says it.
        self.clock = DatabaseClock()
        self._holder: psycopg.Connection[Any] | None = None
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="postgres")
        self._pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            url,
            min_size=1,
            max_size=_CONNECTIONS,
            kwargs=dict(CONNECTING),
            timeout=_CONNECT_SECONDS,
            check=ConnectionPool.check_connection,
            open=False,
        )

    def statements(self, file: str) -> dict[str, str]:
        """The statements of a store by name: those for SQLite, but for the ones that are written otherwise here."""
        own = (
            statements(_PACKAGE, file) if resources.files(_PACKAGE).joinpath("queries", f"{file}.sql").is_file() else {}
        )
        return {**statements("sdrest.storage.sqlite", file), **own}

    async def open(self, *, server: str = "", alone: bool = False) -> None:
        """See :meth:`sdrest.storage.sql.database.Database.open`.

        Raises:
            Conflict: as there.
            Unavailable: the server cannot be reached, or refuses.
            InvalidInput: the address is none, or the schema is of a newer sdrest.
        """
        await self._run(lambda: self._open(server, alone=alone))

    def _open(self, server: str, *, alone: bool) -> None:
        try:
            with psycopg.connect(self.url, **CONNECTING) as connection:
                migrate(connection)
            if server or alone:
                self._hold(server, alone=alone)
        except psycopg.ProgrammingError as error:
            raise InvalidInput(str(error).strip(), field="database") from error
        except psycopg.Error as error:
            raise Unavailable(f"the database cannot be used: {str(error).strip()}") from error
        self._pool.open()

    def _hold(self, server: str, *, alone: bool) -> None:
        """Keep a session whose locks say who works on the queue."""
        self._holder = psycopg.connect(self.url, autocommit=True, **CONNECTING)
        row = self._holder.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        self.clock.told(row[0])
        if not self._took("pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared", "server"):
            raise Conflict(
                "a server works on this database; stop it first" if alone else "this database is being copied"
            )
        if server and not self._took("pg_try_advisory_lock", f"server {server}"):
            raise Conflict("another server with a copy of this data folder works on this database")

    def _took(self, function: str, what: str) -> bool:
        assert self._holder is not None
        statement: Any = f"SELECT {function}(hashtext('sdrest'), hashtext(%s))"
        row = self._holder.execute(statement, [what]).fetchone()
        return bool(row and row[0])

    async def write(self, change: Callable[[Any], T], *, durable: bool = True, alone: str = EVERYTHING) -> T:
        """See :meth:`sdrest.storage.sql.database.Database.write`. A change that met another one is made again."""

        def transaction(connection: psycopg.Connection[Any]) -> T:
            with connection.transaction():
                if not durable:
                    connection.execute("SET LOCAL synchronous_commit = off")
                if alone:
                    connection.execute("SELECT pg_advisory_xact_lock(hashtext('sdrest'), hashtext(%s))", [alone])
                return change(PostgresConnection(connection))

        # Shielded: a cancelled request must not leave its caller unsure while the transaction goes on.
        return await asyncio.shield(self._run(lambda: self._with_connection(transaction)))

    async def read(self, query: Callable[[Any], T]) -> T:
        """See :meth:`sdrest.storage.sql.database.Database.read`."""
        return await self._run(lambda: self._with_connection(lambda connection: query(PostgresConnection(connection))))

    def _with_connection(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        tries = 1
        while True:
            try:
                with self._pool.connection() as connection:
                    return work(connection)
            except _AGAIN as error:
                if tries == _TRIES:
                    raise Unavailable(f"the database cannot be used at the moment: {error}") from error
                tries += 1
            except (psycopg.Error, PoolTimeout) as error:
                raise _as_ours(error) from error

    def _run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def close(self) -> None:
        """Finish what is being written and disconnect; safe to call twice."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._threads.shutdown()
        self._pool.close()
        if self._holder is not None:
            self._holder.close()
            self._holder = None


def _as_ours(error: Exception) -> SdrestError:
    if isinstance(error, errors.DiskFull):
        return InsufficientStorage("the disk of the database is full: the change was not stored")
    if isinstance(error, psycopg.DataError):
        return InvalidInput(f"the database cannot hold this text: {str(error).strip()}")
    is_broken = isinstance(error, psycopg.OperationalError) and not isinstance(error, PoolTimeout)
    kind = OutcomeUnknown if is_broken else Unavailable
    return kind(f"the database cannot be used at the moment: {str(error).strip()}")


def migrate(connection: psycopg.Connection[Any]) -> None:
    """Apply the numbered ``migrations/*.sql`` that are not applied yet, each in a transaction; several servers may try at once.

    Raises:
        InvalidInput: the database was written by a newer version.
    """
    scripts = sorted(
        (int(item.name.split("_")[0]), item.read_text(encoding="utf-8"))
        for item in resources.files(_PACKAGE).joinpath("migrations").iterdir()
        if item.name.endswith(".sql")
    )
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('sdrest'), hashtext('migrating'))")
        there = connection.execute("SELECT to_regclass('sdrest_schema') IS NOT NULL").fetchone()
        found = connection.execute("SELECT version FROM sdrest_schema").fetchone() if there and there[0] else None
        version = found[0] if found else 0
        if version > scripts[-1][0]:
            raise InvalidInput(
                f"the database has schema {version}, newer than this sdrest knows ({scripts[-1][0]})", field="database"
            )
        for number, script in scripts:
            if number > version:
                statement: Any = script
                connection.execute(statement)
                connection.execute("UPDATE sdrest_schema SET version = %s", [number])
