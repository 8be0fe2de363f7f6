"""Every job store there is, for the tests of what they have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sdrest.jobs.group_store import GroupStore
from sdrest.jobs.marks import MarkStore
from sdrest.jobs.quota_store import QuotaStore
from sdrest.jobs.store import JobStore
from sdrest.storage.sql.groups import SqlGroupStore
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sql.marks import SqlMarkStore
from sdrest.storage.sql.quotas import SqlQuotaStore
from sdrest.storage.sqlite.database import Database
from tests.memory.groups import MemoryGroupStore
from tests.memory.jobs import MemoryJobStore
from tests.memory.marks import MemoryMarkStore
from tests.postgres import open_database

Stores = tuple[JobStore, MarkStore, GroupStore, QuotaStore]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param == "memory":
        memory = MemoryJobStore()
        yield memory, MemoryMarkStore(memory), MemoryGroupStore(memory), memory.quotas
        return
    database: Any = (
        Database(tmp_path / "jobs.sqlite3")
        if request.param == "sqlite"
        else open_database(request.getfixturevalue("postgres_url"))
    )
    await database.open()
    jobs = SqlJobStore(database)
    yield jobs, SqlMarkStore(database), SqlGroupStore(database, jobs), SqlQuotaStore(database)
    await database.close()


@pytest.fixture
def store(stores: Stores) -> JobStore:
    return stores[0]


@pytest.fixture
def marks(stores: Stores) -> MarkStore:
    """The marks beside the jobs of ``store``."""
    return stores[1]


@pytest.fixture
def groups(stores: Stores) -> GroupStore:
    """The groups of the jobs of ``store``."""
    return stores[2]


@pytest.fixture
def quotas(stores: Stores) -> QuotaStore:
    """What the jobs of ``store`` have used, and how much they may."""
    return stores[3]
