"""SQLite from asyncio: one thread that writes, a few that read, and migrations at start.

Durability: write-ahead log with ``synchronous = FULL``, so that a committed transaction survives ``kill -9`` and a power cut
(https://www.sqlite.org/pragma.html#pragma_synchronous). All writes run one after another in one thread: no lock errors, and each
``write`` is one transaction that is on disk when it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final, TypeVar

from sdrest.core.errors import InsufficientStorage, SdrestError, Unavailable
from sdrest.storage.sql.database import EVERYTHING
from sdrest.storage.sql.statements import statements

T = TypeVar("T")

_READERS: Final = 2
_BUSY_TIMEOUT_SECONDS: Final = 10.0


class DatabaseUnusable(SdrestError):
    """The database file cannot be used."""

    slug = "database_unusable"


class Database:
    """One SQLite file. Open with :meth:`open`, close with :meth:`close`; functions get a connection and must not keep it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        #: The time.
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-reader")
        self._write_connection: sqlite3.Connection | None = None
        self._local = threading.local()
        self._read_connections: list[sqlite3.Connection] = []

    async def open(self, *, server: str = "", alone: bool = False) -> None:  # noqa: ARG002 - the data folder has a lock
        """Open or create the file and bring its schema up to date.

        Raises:
            DatabaseUnusable: the file is damaged, not a database, or of a newer sdrest.
        """
        await asyncio.get_running_loop().run_in_executor(self._writer, self._open)

    def _open(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # Prompts and password hashes are nobody else's business; SQLite gives its other files the same mode. Where the file
        # cannot be made, SQLite says why.
        with contextlib.suppress(OSError):
            self.file.touch(mode=0o600, exist_ok=False)
        try:
            connection = self._connect()
            self._write_connection = connection
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check found damage")
            migrate(connection)
        except sqlite3.DatabaseError as error:
            raise DatabaseUnusable(
                f"{self.file} cannot be used ({error}); move it away to start with an empty queue, or restore a copy"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.file, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def statements(self, file: str) -> dict[str, str]:
        """The statements of a store by name."""
        return statements("sdrest.storage.sqlite", file)

    async def write(
        self,
        change: Callable[[sqlite3.Connection], T],
        *,
        durable: bool = True,
        alone: str = EVERYTHING,  # noqa: ARG002 - every change is
    ) -> T:
        """Run ``change`` in one transaction on the writer thread; committed and on disk when this returns.

        With ``durable`` off, only the kernel has it yet: it survives the end of the server, not a power cut before the next
        durable change (https://www.sqlite.org/wal.html#performance_considerations).

        Raises:
            InsufficientStorage: the disk is full; nothing was written.
            Unavailable: the file cannot be written for another reason; nothing was written.
        """

        def transaction() -> T:
            connection = self._write_connection
            assert connection is not None, "the database is not open"
            try:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                connection.execute("BEGIN IMMEDIATE")
                result = change(connection)
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:  # SQLite itself ends it when the disk is full
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError):
                    raise _translated(error) from error
                raise
            return result

        # Shielded: a cancelled request must not leave its caller unsure while the transaction goes on.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, transaction))

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``query`` on a reader thread; it sees everything committed before."""

        def run() -> T:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._connect()
                connection.execute("PRAGMA query_only = ON")
                self._read_connections.append(connection)
            try:
                return query(connection)
            except sqlite3.DatabaseError as error:
                raise _translated(error) from error

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def close(self) -> None:
        """Finish what is being written and close the file; safe to call twice."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.shutdown()
        self._writer.shutdown()
        for connection in self._read_connections:
            connection.close()
        self._read_connections.clear()
        if self._write_connection is not None:
            self._write_connection.close()
            self._write_connection = None


def _translated(error: sqlite3.Error) -> SdrestError:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" or "disk is full" in str(error):
        return InsufficientStorage("the disk of the data folder is full: the change was not stored")
    return Unavailable(f"the database cannot be used at the moment: {error}")


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the numbered ``migrations/*.sql`` not applied yet; ``PRAGMA user_version`` holds the number of the last one.

    Raises:
        DatabaseUnusable: the file was written by a newer version.
    """
    scripts = sorted(
        (int(item.name.split("_")[0]), item.read_text(encoding="utf-8"))
        for item in resources.files("sdrest.storage.sqlite").joinpath("migrations").iterdir()
        if item.name.endswith(".sql")
    )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > scripts[-1][0]:
        raise DatabaseUnusable(f"the database has schema {version}, newer than this sdrest knows ({scripts[-1][0]})")
    for number, script in scripts:
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
