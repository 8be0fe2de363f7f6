"""Every job store there is, for the tests of what they have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sdrest.jobs.store import JobStore
from sdrest.storage.memory import MemoryJobStore
from sdrest.storage.sqlite.database import Database
from sdrest.storage.sqlite.jobs import SqliteJobStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JobStore]:
    if request.param == "memory":
        yield MemoryJobStore()
        return
    database = Database(tmp_path / "jobs.sqlite3")
    await database.open()
    yield SqliteJobStore(database)
    await database.close()
