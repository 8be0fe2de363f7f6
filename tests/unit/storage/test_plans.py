"""Questions asked all the time are answered from an index, however long the history is."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from sdrest.core.job import TERMINAL_STATES, Job, JobState, JobType
from sdrest.jobs.listing import JobFilter, JobOrder, Place
from sdrest.jobs.marks import FAVOURITE
from sdrest.storage.sql.database import EVERYTHING
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sqlite.database import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GALLERY_BY_MODEL = JobFilter(states=TERMINAL_STATES, with_outputs=True, order=JobOrder.MODEL)
T = TypeVar("T")


class Explaining:
    """A connection that keeps how SQLite goes about each statement."""

    def __init__(self, db: sqlite3.Connection, plan: list[str]) -> None:
        self._db = db
        self._plan = plan

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        self._plan += [row["detail"] for row in self._db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        return self._db.execute(statement, values)


class ExplainedDatabase(Database):
    """A database whose ``plan`` has the steps of all statements since it was last cleared."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.plan: list[str] = []

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return await self.write(query)

    async def write(
        self, change: Callable[[sqlite3.Connection], T], *, durable: bool = True, alone: str = EVERYTHING
    ) -> T:
        return await super().write(
            lambda db: change(cast("sqlite3.Connection", Explaining(db, self.plan))), durable=durable, alone=alone
        )

    def ways(self) -> set[str]:
        """The ways into the table of jobs: names of indices, ``row`` for a look-up by number, ``all`` for reading it all."""
        steps = [re.fullmatch(r"(SCAN|SEARCH) jobs(?: USING (.*))?", step) for step in self.plan]
        return {_way(step[1], step[2] or "") for step in steps if step}

    def sorts(self) -> bool:
        """Whether rows are put in order after they were found."""
        return any("TEMP B-TREE" in step for step in self.plan)


def _way(verb: str, how: str) -> str:
    index = re.search(r"INDEX (\w+)", how)
    return index[1] if index else "row" if verb == "SEARCH" and "PRIMARY KEY" in how else "all"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[ExplainedDatabase]:
    database = ExplainedDatabase(tmp_path / "jobs.sqlite3")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def store(database: ExplainedDatabase) -> SqlJobStore:
    """A store with a few pending jobs."""
    store = SqlJobStore(database)
    for name, model in (("a", "m"), ("b", "n")):
        job = Job(id=name, type=JobType.TXT2IMG, principal=name, model_id=model, created_at=NOW)
        await store.add(job, max_pending=10)
    database.plan.clear()
    return store


async def test_adding_never_reads_the_history(store: SqlJobStore, database: ExplainedDatabase) -> None:
    job = Job(id="c", type=JobType.TXT2IMG, principal="ann", idempotency_key="k", created_at=NOW)
    await store.add(job, max_pending=10, max_pending_of_principal=10)
    assert database.ways() == {"jobs_idempotency"}


async def test_a_claim_looks_at_the_first_job_of_each_principal(
    store: SqlJobStore, database: ExplainedDatabase
) -> None:
    assert await store.claim([JobType.TXT2IMG], now=NOW, lease_seconds=9, worker="w", preferred_models=["n"])
    assert database.ways() == {"jobs_turns", "jobs_turns_of_model", "row"}


async def test_leases_are_looked_at_among_the_running_jobs(store: SqlJobStore, database: ExplainedDatabase) -> None:
    job = await store.claim([JobType.TXT2IMG], now=NOW, lease_seconds=9, worker="w")
    assert job is not None
    database.plan.clear()
    assert await store.renew([job.lease_id], until=NOW)
    assert await store.recover(NOW, 10, server="")
    assert "all" not in database.ways()
    assert "jobs_state" in database.ways()


async def test_a_key_is_looked_up(store: SqlJobStore, database: ExplainedDatabase) -> None:
    await store.by_key("a", "k")
    assert database.ways() == {"jobs_idempotency"}


async def test_a_result_is_looked_up_newest_first(store: SqlJobStore, database: ExplainedDatabase) -> None:
    await store.by_result("a", "r")
    assert (database.ways(), database.sorts()) == ({"jobs_results"}, False)


async def test_places_in_the_queue_are_counted_in_the_queue(store: SqlJobStore, database: ExplainedDatabase) -> None:
    assert await store.position("b") == 2
    assert "all" not in database.ways()
    assert "jobs_pending" in database.ways()
    database.plan.clear()
    await store.highest_priority()
    assert (database.ways(), database.sorts()) == ({"jobs_pending"}, False)


async def test_numbers_by_state_are_kept_beside_the_jobs(store: SqlJobStore, database: ExplainedDatabase) -> None:
    await store.counts()
    await store.counts("a")
    assert database.plan
    assert database.ways() == set()


@pytest.mark.parametrize(
    ("wanted", "way"),
    [
        (JobFilter(states=(JobState.RUNNING,)), "jobs_state"),
        (JobFilter(principal="a"), "jobs_principal"),
        (JobFilter(states=TERMINAL_STATES, with_outputs=True), "jobs_with_outputs"),
        (JobFilter(states=TERMINAL_STATES, with_outputs=True, older_than=9), "jobs_with_outputs"),
        (JobFilter(states=TERMINAL_STATES, with_outputs=True, newer_than=9, newest_first=False), "jobs_with_outputs"),
        (JobFilter(states=TERMINAL_STATES, with_outputs=True, principal="a", older_than=9), "jobs_principal"),
        (JobFilter(in_bin=True), "jobs_binned"),
        (JobFilter(in_bin=True, binned_before=NOW, newest_first=False), "jobs_binned"),
        (JobFilter(states=TERMINAL_STATES, with_outputs=True, marks=[FAVOURITE]), "row"),
        (JobFilter(states=TERMINAL_STATES, with_outputs=True, search="fox lora:ink -dark"), "row"),
        (GALLERY_BY_MODEL, "jobs_by_model"),
        (replace(GALLERY_BY_MODEL, beyond=Place(9, "Flux")), "jobs_by_model"),
        (replace(GALLERY_BY_MODEL, beyond=Place(9, "Flux"), newest_first=False), "jobs_by_model"),
        (replace(GALLERY_BY_MODEL, order=JobOrder.SIZE, beyond=Place(9, 300)), "jobs_by_size"),
        (JobFilter(with_outputs=True, search="model:flux", newer_than=9, newest_first=False), "row"),
    ],
)
async def test_a_page_comes_from_an_index_in_order(
    store: SqlJobStore, database: ExplainedDatabase, wanted: JobFilter, way: str
) -> None:
    await store.find(wanted)
    assert (database.ways(), database.sorts()) == ({way}, False)
