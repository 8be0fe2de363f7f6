"""Every job store there is, for the tests of what they have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sdrest.jobs.store import JobStore
from sdrest.storage.memory import MemoryJobStore
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sqlite.database import Database
from tests.postgres import open_database


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JobStore]:
    if request.param == "memory":
        yield MemoryJobStore()
        return
    database: Any = (
        Database(tmp_path / "jobs.sqlite3")
        if request.param == "sqlite"
        else open_database(request.getfixturevalue("postgres").new_database())
    )
    await database.open()
    yield SqlJobStore(database)
    await database.close()
