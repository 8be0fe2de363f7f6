"""A change that does not fit is refused as that, and the next one that fits is made."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sdrest.core.errors import InsufficientStorage, Unavailable
from sdrest.storage.sqlite.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "file.sqlite3")
    await database.open()
    yield database
    await database.close()


def bound_pages(db: sqlite3.Connection, more: int) -> None:
    """As a disk that has room for a few pages more."""
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + more}")


def keep(db: sqlite3.Connection, size: int) -> None:
    db.execute("INSERT OR REPLACE INTO key_values (key, value) VALUES ('x', ?)", ('"' + "y" * size + '"',))


async def test_a_full_disk_is_told_as_that_although_sqlite_ended_the_transaction_itself(database: Database) -> None:
    await database.write(lambda db: bound_pages(db, 2))
    with pytest.raises(InsufficientStorage):
        await database.write(lambda db: keep(db, 200_000))
    await database.write(lambda db: keep(db, 10))
    assert await database.read(lambda db: db.execute("SELECT length(value) FROM key_values").fetchone()[0]) == 12


async def test_what_a_change_raises_undoes_it(database: Database) -> None:
    def change(db: sqlite3.Connection) -> None:
        keep(db, 10)
        raise KeyError("half way")

    with pytest.raises(KeyError):
        await database.write(change)
    assert await database.read(lambda db: db.execute("SELECT count(*) FROM key_values").fetchone()[0]) == 0


async def test_what_sqlite_refuses_is_told_as_unavailable_and_undone(database: Database) -> None:
    def change(db: sqlite3.Connection) -> None:
        keep(db, 10)
        db.execute("SELECT * FROM no_table")

    with pytest.raises(Unavailable, match="no such table"):
        await database.write(change)
    assert await database.read(lambda db: db.execute("SELECT count(*) FROM key_values").fetchone()[0]) == 0
