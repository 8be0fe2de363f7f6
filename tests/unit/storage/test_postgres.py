"""Several servers on one PostgreSQL at the same time, and a database that goes away and comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sdrest.core.errors import InvalidInput, OutcomeUnknown, QueueFull, Unavailable
from sdrest.core.group import Axis, Group
from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.store import Ending
from sdrest.storage.sql.accounts import SqlAccountStore
from sdrest.storage.sql.database import Database
from sdrest.storage.sql.groups import SqlGroupStore
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sql.timings import SqlTimings
from sdrest.storage.sql.webhooks import SqlOutbox
from tests.needs import needs
from tests.postgres import PostgresServer, open_database

pytestmark = needs("postgres")

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(name: str, **fields: Any) -> Job:
    return Job(id=name, type=JobType.TXT2IMG, created_at=NOW, **fields)


@pytest.fixture
async def databases(postgres_url: str) -> AsyncIterator[list[Database]]:
    """Two servers' connections to one database."""
    databases: list[Database] = [open_database(postgres_url) for _ in range(2)]
    await asyncio.gather(*(database.open() for database in databases))  # both make the schema
    yield databases
    for database in databases:
        await database.close()


@pytest.fixture
def fronts(databases: list[Database]) -> list[SqlJobStore]:
    """Two servers' stores on one database."""
    return [SqlJobStore(database) for database in databases]


async def claim(store: SqlJobStore) -> Job | None:
    return await store.claim([JobType.TXT2IMG], now=NOW, lease_seconds=60, worker="w")


async def test_a_connection_that_breaks_leaves_open_what_was_written(databases: list[Database]) -> None:
    with pytest.raises(OutcomeUnknown):
        await databases[0].write(lambda db: db.execute("SELECT pg_terminate_backend(pg_backend_pid())"))


async def test_an_answer_that_may_be_of_the_past_moves_no_files(
    fronts: list[SqlJobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it was on its way the database may have been killed, and somebody else have done the job."""

    def must_not(*_: object) -> None:
        raise AssertionError("files are touched")

    store = fronts[0]
    await store.add(job("late"), max_pending=10)
    claimed = await claim(store)
    assert claimed is not None
    output = Output(file="image_0.png", media_type="image/png", size_bytes=1)
    ending = Ending(state=JobState.COMPLETED, finished_at=NOW, outputs=(output,))
    monkeypatch.setattr("sdrest.storage.sql.database.LONGEST_ANSWER_SECONDS", -1.0)
    changes: tuple[Awaitable[object], ...] = (
        store.note_output("late", claimed.lease_id, output, must_not),
        store.release("late", claimed.lease_id, now=NOW, count_attempt=True, outputs=(), place=must_not),
        store.finish("late", claimed.lease_id, ending, must_not),
        store.recover(NOW + timedelta(hours=1), 10, tidy=must_not),
    )
    for change in changes:
        with pytest.raises(Unavailable, match="may not hold any more"):
            await change
    assert await store.get("late") == claimed


async def test_each_job_is_claimed_once_and_ends_once(fronts: list[SqlJobStore]) -> None:
    names = [f"job-{number}" for number in range(40)]
    await asyncio.gather(
        *(fronts[n % 2].add(job(name, principal=name[-1]), max_pending=100) for n, name in enumerate(names))
    )
    claimed = await asyncio.gather(*(claim(fronts[n % 2]) for n in range(50)))
    taken = [item for item in claimed if item is not None]
    assert Counter(item.id for item in taken) == Counter(names)
    assert len({item.lease_id for item in taken}) == len(names)
    done = Ending(state=JobState.COMPLETED, finished_at=NOW)
    endings = await asyncio.gather(*(front.finish(item.id, item.lease_id, done) for item in taken for front in fronts))
    assert sum(ending is not None for ending in endings) == len(names)
    nothing = dict.fromkeys(JobState, 0)
    assert await fronts[0].counts() == nothing | {JobState.COMPLETED: len(names)}
    await fronts[1].recover(NOW, 10)  # sums up
    assert await fronts[0].counts() == nothing | {JobState.COMPLETED: len(names)}


async def test_the_bound_holds_for_all_servers_together(fronts: list[SqlJobStore]) -> None:
    adding = (fronts[n % 2].add(job(f"job-{n}"), max_pending=5) for n in range(20))
    answers = await asyncio.gather(*adding, return_exceptions=True)
    assert sum(isinstance(answer, Job) for answer in answers) == 5
    assert sum(isinstance(answer, QueueFull) for answer in answers) == 15


async def test_a_key_makes_one_job_whichever_server_is_asked(fronts: list[SqlJobStore]) -> None:
    adding = (fronts[n % 2].add(job(f"job-{n}", idempotency_key="k"), max_pending=50) for n in range(10))
    assert len({item.id for item in await asyncio.gather(*adding)}) == 1


async def test_a_key_makes_one_group_whichever_server_is_asked(
    fronts: list[SqlJobStore], databases: list[Database]
) -> None:
    groups = [SqlGroupStore(database, front) for database, front in zip(databases, fronts, strict=True)]

    def asked(number: int) -> Awaitable[Group]:
        axes = (Axis(label="steps", values=("4",)),)
        group = Group(id=f"g{number}", principal="ann", name="", created_at=NOW, axes=axes, idempotency_key="k")
        return groups[number % 2].add(group, [job(f"job-{number}", group_id=group.id)], max_pending=50)

    assert len({item.id for item in await asyncio.gather(*map(asked, range(10)))}) == 1
    assert len(await fronts[0].find(JobFilter())) == 1


async def test_cancels_and_claims_at_the_same_time_leave_no_job_behind(fronts: list[SqlJobStore]) -> None:
    for number in range(20):
        await fronts[0].add(job(f"job-{number}", principal=str(number % 3)), max_pending=100)
    cancelling = (fronts[0].request_cancel(f"job-{number}", NOW) for number in range(0, 20, 2))
    claimed, _ = await asyncio.gather(
        asyncio.gather(*(claim(fronts[1]) for _ in range(20))), asyncio.gather(*cancelling)
    )
    counts = await fronts[0].counts()
    assert counts[JobState.PENDING] == 0
    assert counts[JobState.RUNNING] == sum(item is not None for item in claimed)
    assert counts[JobState.RUNNING] + counts[JobState.CANCELLED] == 20


async def test_text_that_the_database_cannot_hold_is_refused_or_kept(fronts: list[SqlJobStore]) -> None:
    kept = await fronts[0].add(job("a", parameters={"prompt": "nul \0 in it"}), max_pending=5)
    assert await fronts[1].get("a") == kept
    with pytest.raises(InvalidInput, match="cannot hold"):
        await fronts[0].add(job("b", principal="nul \0"), max_pending=5)


@pytest.mark.slow
async def test_a_database_that_goes_away_is_told_as_that_and_used_again_when_it_is_back(
    fronts: list[SqlJobStore], postgres: PostgresServer
) -> None:
    await fronts[0].add(job("a"), max_pending=5)
    postgres.stop()
    try:
        with pytest.raises(Unavailable):
            await fronts[0].get_value("k")
    finally:
        postgres.start()
    taken = await claim(fronts[1])
    assert taken is not None
    assert taken.id == "a"


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises((InvalidInput, Unavailable)):
        await open_database("postgresql://nowhere.invalid/x?connect_timeout=2").open()


async def test_the_other_stores_find_their_statements(fronts: list[SqlJobStore]) -> None:
    database = fronts[0]._database
    for store in (SqlAccountStore, SqlTimings, SqlOutbox):
        store(database)
