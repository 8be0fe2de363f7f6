"""A queue of a million: what a claim costs when half of the jobs have ended and half wait, on SQLite and on PostgreSQL.

The clock of the jobs is virtual: a second passes with every claim, so leases and turns are as after days. No database waits for a disk
where that can be helped: SQLite's file lies in memory if there is room, and PostgreSQL runs with ``fsync=off``.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.cluster import postgres_server
from benchmarks.figures import percentile
from benchmarks.results import Result, say
from benchmarks.rounds import some
from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.jobs.store import Ending
from sdrest.storage.postgres.database import PostgresDatabase
from sdrest.storage.sql.database import ADDING
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sqlite.database import Database

JOBS: Final = 1_000_000
CYCLES: Final = 20_000
PRINCIPALS, MODELS = 50, 5
_AT_ONCE: Final = 1000
_MEMORY: Final = Path("/dev/shm")
_MEMORY_NEEDED: Final = 12 << 30


@dataclass(slots=True)
class Clock:
    """The time, which passes by itself a second for each look."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass(frozen=True, slots=True)
class Cycles:
    """Claims and endings, in milliseconds of each."""

    claims: list[float]
    endings: list[float]
    seconds: float

    @property
    def row(self) -> tuple[str, ...]:
        """Claims a second, and the median and 99th percentile of a claim and of an ending."""
        spread = [f"{percentile(of, share):.2f}" for of in (self.claims, self.endings) for share in (50, 99)]
        return (f"{len(self.claims) / self.seconds:,.0f}", *spread)


def new_job(number: int, now: datetime) -> Job:
    """One of fifty users' jobs; every other one has ended, with a picture."""
    model = f"model-{number % MODELS}"
    job = Job(
        id=str(uuid.UUID(int=number)),
        type=JobType.TXT2IMG,
        principal=f"user-{number // _AT_ONCE % PRINCIPALS}",
        model_id=model,
        model_name=model,
        created_at=now,
        parameters={"prompt": f"a cat on hill {number}", "width": 512, "height": 512, "steps": 20, "seed": number},
    )
    if number % 2:
        return job
    output = Output(file="image_0.png", media_type="image/png", size_bytes=400_000, seed=number)
    return replace(job, state=JobState.COMPLETED, started_at=now, finished_at=now, seconds=1.0, outputs=(output,))


async def fill(database: Any, store: SqlJobStore, jobs: int, clock: Clock) -> float:
    """Add that many jobs; how many a second."""
    started_at = time.monotonic()
    for first in range(0, jobs, _AT_ONCE):
        group = [new_job(number, clock()) for number in range(first, min(jobs, first + _AT_ONCE))]

        def add(connection: Any, group: list[Job] = group) -> None:
            store.add_all(connection, group, max_pending=jobs + 1, max_pending_of_principal=None, budgets=())

        await database.write(add, alone=ADDING)
    return jobs / (time.monotonic() - started_at)


async def cycle(store: SqlJobStore, number: int, clock: Clock) -> Cycles:
    """Claim and end that many jobs, one after another."""
    claims: list[float] = []
    endings: list[float] = []
    started_at = time.monotonic()
    for _ in range(number):
        begun = time.perf_counter()
        job = await store.claim(
            (JobType.TXT2IMG, JobType.IMG2IMG),
            now=clock(),
            lease_seconds=30,
            worker="engine",
            preferred_models=("model-1",),
        )
        claimed = time.perf_counter()
        assert job is not None
        await store.finish(job.id, job.lease_id, Ending(state=JobState.COMPLETED, finished_at=clock(), seconds=1.0))
        claims.append((claimed - begun) * 1000)
        endings.append((time.perf_counter() - claimed) * 1000)
    return Cycles(claims, endings, time.monotonic() - started_at)


@contextmanager
def held_snapshot(url: str) -> Iterator[None]:
    """Somebody who looks at the database for as long as the block takes: no row that goes meanwhile may be tidied up."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM jobs WHERE sequence < 10")
        yield


def sizes(url: str) -> str:
    """Table and indices of the jobs in PostgreSQL, in MB."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT pg_table_size('jobs'), pg_indexes_size('jobs')").fetchone()
    assert found is not None
    return f"{found[0] / 1e6:,.0f} + {found[1] / 1e6:,.0f}"


@asynccontextmanager
async def opened(database: Any) -> AsyncIterator[Any]:
    """A database for the length of the block."""
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def measure() -> Result:
    """Run the benchmark."""
    jobs, cycles = some(JOBS), some(CYCLES)
    result = Result(
        "depth",
        "A queue of a million",
        f"{jobs:,} jobs of {PRINCIPALS} users and {MODELS} models, every other one ended, in a database that does not wait for a disk; then {cycles:,} times a claim "
        "and an ending, one after another, while the clock of the jobs runs a second with each. `held` is PostgreSQL while another connection "
        "holds a snapshot from before, as a dump does.",
    )
    rows: list[tuple[str, ...]] = []
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_NEEDED
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=_MEMORY if roomy else None)))
        file = folder / "jobs.sqlite3"
        clock = Clock()
        async with opened(Database(file)) as database:
            store = SqlJobStore(database)
            say(
                f"sqlite: {await fill(database, store, jobs, clock):,.0f} jobs a second are added, a thousand at a time"
            )
            done = await cycle(store, cycles, clock)
            rows.append(("SQLite", *done.row, f"{file.stat().st_size / 1e6:,.0f}"))
            result.add(
                "SQLite: a claim, median",
                f"{percentile(done.claims, 50):.2f} ms",
                "≤ 0.5 ms",
                met=percentile(done.claims, 50) <= 0.5,
            )
        url = stack.enter_context(postgres_server()).new_database()
        async with opened(PostgresDatabase(url)) as database:
            store, clock = SqlJobStore(database), Clock()
            say(
                f"postgres: {await fill(database, store, jobs, clock):,.0f} jobs a second are added, a thousand at a time"
            )
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE jobs")
            rows.append(("PostgreSQL", *(await cycle(store, cycles, clock)).row, sizes(url)))
            with held_snapshot(url):
                rows.append(("PostgreSQL, held", *(await cycle(store, cycles, clock)).row, sizes(url)))
    result.add_table(
        "Claims and endings (ms), and what the jobs take (MB; PostgreSQL: table + indices)",
        ("database", "cycles/s", "claim p50", "claim p99", "ending p50", "ending p99", "MB"),
        rows,
    )
    return result
