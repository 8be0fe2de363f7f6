"""What becomes of the jobs that a killed server left running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdrest.core.job import Job, JobState, JobType
from sdrest.storage.database import Database
from sdrest.storage.jobs import SqliteJobStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    database = Database(tmp_path / "jobs.sqlite3")
    await database.open()
    yield SqliteJobStore(database)
    await database.close()


async def claimed(store: SqliteJobStore) -> Job | None:
    return await store.claim({JobType.TXT2IMG}, now=NOW, lease_seconds=60, worker="w")


async def test_a_job_interrupted_by_the_server_is_queued_again_first_and_keeps_its_attempts(
    store: SqliteJobStore,
) -> None:
    for name in ("first", "second"):
        await store.add(Job(id=name, type=JobType.TXT2IMG, created_at=NOW), max_pending=10)
    for number in range(3):
        job = await claimed(store)
        assert job is not None
        assert (job.id, job.attempt, job.interruptions) == ("first", number + 1, number)
        (recovered,) = await store.recover(NOW, 10)
        assert recovered.state is JobState.PENDING


async def test_a_job_that_is_running_at_every_abrupt_end_fails_at_last(store: SqliteJobStore) -> None:
    await store.add(Job(id="poison", type=JobType.TXT2IMG, created_at=NOW), max_pending=10)
    endings: list[Job] = []
    for _ in range(3):
        await claimed(store)
        endings += await store.recover(NOW, 3)
    assert [job.state for job in endings] == [JobState.PENDING, JobState.PENDING, JobState.FAILED]
    assert endings[-1].failure is not None
    assert endings[-1].failure.slug == "server_died"
    assert endings[-1].finished_at == NOW
    assert await claimed(store) is None


async def test_a_job_that_was_to_be_cancelled_is_cancelled(store: SqliteJobStore) -> None:
    await store.add(Job(id="unwanted", type=JobType.TXT2IMG, created_at=NOW), max_pending=10)
    await claimed(store)
    await store.request_cancel("unwanted", NOW)
    (recovered,) = await store.recover(NOW, 10)
    assert recovered.state is JobState.CANCELLED
