"""The store in memory says in plain Python what the others say in queries: whatever is done, all answer the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdrest.core.errors import QueueFull
from sdrest.core.job import TERMINAL_STATES, Failure, Job, JobState, JobType, Output
from sdrest.core.use import Charge, Limits, Use
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.quotas import Budget
from sdrest.jobs.store import PAUSED_KEY, Ending, JobStore, Reach, Refusal
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sql.quotas import SqlQuotaStore
from sdrest.storage.sqlite.database import Database
from tests.memory.jobs import MemoryJobStore
from tests.needs import needs
from tests.postgres import open_database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = ("", "a", "b", "c")
TYPES = (JobType.TXT2IMG, JobType.UPSCALE, JobType.HASH)

#: One thing to do with a store at a time, told as (hour, store) → answer.
Step = Callable[[datetime, JobStore], Awaitable[Any]]

ids = st.integers(0, 25).map("job-{}".format)
servers = st.sampled_from(("east", "west"))
outputs = st.lists(st.sampled_from(("image_0.png", "image_1.png")), unique=True).map(
    lambda names: tuple(Output(file=name, media_type="image/png", size_bytes=10) for name in names)
)
uses = st.builds(Use, images=st.integers(1, 3), pixel_steps=st.just(100), bytes=st.just(1000))
keys = st.sampled_from(("", "", "key:k"))
BUDGETS = [Budget("ann", Limits(images=6)), Budget("key:k", Limits(images=4, pixel_steps=250))]
names = st.sampled_from(("ann", "bob", "cid"))
#: Whether the lease is the one that the job runs under; mostly.
holders = st.sampled_from((True, True, True, False))
#: Whose the lease must be for a write to count.
holding = st.sampled_from((None, None, "east", "west"))


@st.composite
def adding(draw: st.DrawFn) -> Step:
    fields: dict[str, Any] = {
        "id": draw(ids),
        "type": draw(st.sampled_from(TYPES)),
        "principal": draw(names),
        "priority": draw(st.integers(-1, 1)),
        "model_id": draw(st.sampled_from(MODELS)),
        "memory_bytes": draw(st.sampled_from((0, 0, 5, 1 << 40))),
        "idempotency_key": draw(st.sampled_from(("", "", "", "k"))),
        "result_key": draw(st.sampled_from(("", "r"))),
        "charge": draw(st.one_of(st.none(), st.builds(Charge, use=uses, files=st.integers(1, 2), key=keys))),
        "waits_for": draw(st.one_of(st.just(()), st.lists(ids, max_size=2, unique=True).map(tuple))),
    }

    async def step(now: datetime, store: JobStore) -> object:
        if await store.get(fields["id"]) is not None:
            return None  # ids are never used twice
        try:
            job = Job(**fields, created_at=now)
            return await store.add(job, max_pending=12, max_pending_of_principal=5, budgets=BUDGETS)
        except QueueFull as error:
            return str(error)

    return step


@st.composite
def claiming(draw: st.DrawFn) -> Step:
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, unique=True))
    loaded = draw(st.lists(st.sampled_from(MODELS), unique=True))
    server, seconds = draw(servers), draw(st.sampled_from((9, 5 * 3600)))
    reach = Reach(
        at_hand=draw(st.lists(st.sampled_from(MODELS), unique=True)),
        fetches=draw(st.sampled_from((True, True, False))),
        memory_bytes=draw(st.sampled_from((None, None, 4, 5, 1 << 41))),
        besides=draw(st.sampled_from(((), (), ("job-1", "job-2")))),
    )
    return lambda now, store: store.claim(
        types, now=now, lease_seconds=seconds, worker="w", server=server, preferred_models=loaded, reach=reach
    )


async def lease_of(store: JobStore, job_id: str, *, is_own: bool) -> str:
    """The lease under which a job runs, or one that is nobody's."""
    job = await store.get(job_id)
    return job.lease_id if job is not None and is_own else "nobody's"


@st.composite
def ending(draw: st.DrawFn) -> Step:
    state = draw(st.sampled_from(sorted(TERMINAL_STATES)))
    failure = Failure(slug="s", message="m") if state is JobState.FAILED else None
    job_id, is_own, made, server = draw(ids), draw(holders), draw(outputs), draw(holding)

    async def step(now: datetime, store: JobStore) -> object:
        lease_id = await lease_of(store, job_id, is_own=is_own)
        end = Ending(state=state, finished_at=now, failure=failure, outputs=made)
        return await store.finish(job_id, lease_id, end, server=server)

    return step


@st.composite
def releasing(draw: st.DrawFn) -> Step:
    job_id, is_own, made, counted = draw(ids), draw(holders), draw(outputs), draw(st.booleans())
    server, refusal = draw(holding), draw(st.sampled_from((None, Refusal(reason="too small", memory_bytes=5))))

    async def step(now: datetime, store: JobStore) -> object:
        lease_id = await lease_of(store, job_id, is_own=is_own)
        return await store.release(
            job_id, lease_id, now=now, count_attempt=counted, outputs=made, server=server, refusal=refusal
        )

    return step


@st.composite
def noting(draw: st.DrawFn) -> Step:
    job_id, is_own, made, server = draw(ids), draw(holders), draw(outputs.filter(bool)), draw(holding)

    async def step(_now: datetime, store: JobStore) -> object:
        return await store.note_output(job_id, await lease_of(store, job_id, is_own=is_own), made[0], server=server)

    return step


@st.composite
def renewing(draw: st.DrawFn) -> Step:
    job_ids, hours, server = draw(st.lists(ids, unique=True)), draw(st.integers(0, 5)), draw(holding)

    async def step(now: datetime, store: JobStore) -> object:
        leases = [await lease_of(store, job_id, is_own=True) for job_id in job_ids]
        return await store.renew(leases, until=now + timedelta(hours=hours), server=server)

    return step


@st.composite
def taking_over(draw: st.DrawFn) -> Step:
    job_id, is_own, server, hours = draw(ids), draw(holders), draw(servers), draw(st.integers(0, 5))

    async def step(now: datetime, store: JobStore) -> object:
        lease_id = await lease_of(store, job_id, is_own=is_own)
        until = now + timedelta(hours=hours)
        return await store.take_over(lease_id, server=server, worker="v", until=until)

    return step


@st.composite
def recovering(draw: st.DrawFn) -> Step:
    most, server = draw(st.integers(1, 3)), draw(st.one_of(st.none(), servers))

    async def step(now: datetime, store: JobStore) -> object:
        tidied: list[Job] = []
        changed = await store.recover(now, most, server=server, tidy=tidied.append)
        assert {job.id for job in tidied} == {job.id for job in changed}
        return changed

    return step


steps = st.one_of(
    adding(),
    adding(),
    claiming(),
    claiming(),
    ending(),
    releasing(),
    noting(),
    st.builds(lambda job_id: lambda now, store: store.request_cancel(job_id, now), ids),
    st.builds(lambda name: lambda now, store: store.clear_pending(now, name), names),
    st.builds(
        lambda paused: lambda _now, store: store.set_value(PAUSED_KEY, paused), st.sampled_from((False, False, True))
    ),
    renewing(),
    taking_over(),
    recovering(),
    st.just(lambda now, store: store.follow(now)),
    st.builds(lambda job_id, number: lambda _now, store: store.prioritise(job_id, number), ids, st.integers(-1, 1)),
    st.builds(lambda job_id: lambda _now, store: store.remove(job_id), ids),
    st.builds(lambda job_id: lambda _now, store: store.forget_key(job_id), ids),
)


def comparable(answer: object) -> object:
    """What each store calls its leases says nothing."""
    if isinstance(answer, list):
        return [comparable(item) for item in answer]
    return replace(answer, lease_id=str(bool(answer.lease_id))) if isinstance(answer, Job) else answer


def in_no_order(answer: object) -> object:
    """Which of several jobs is named first says nothing."""
    return comparable(sorted(answer, key=lambda job: job.id) if isinstance(answer, list) else answer)


async def seen(store: JobStore, now: datetime) -> list[object]:
    """All that can be asked."""
    everything = await store.find(JobFilter(limit=100))
    answers: list[Any] = [everything, await store.counts(), await store.output_bytes()]
    answers.append(sorted(await store.waiting(), key=str))
    answers.append(sorted(await store.at_work(), key=str))
    for name in ("ann", "bob", "cid"):
        answers += [await store.counts(name), await store.by_key(name, "k"), await store.by_result(name, "r")]
    for wanted in (
        JobFilter(states=TERMINAL_STATES, with_outputs=True, newest_first=False),
        JobFilter(states=(JobState.PENDING, JobState.RUNNING), types=TYPES[:2], principal="ann"),
        JobFilter(finished_before=now - timedelta(hours=3), limit=3, offset=1),
        JobFilter(model_id="a", created_after=NOW + timedelta(hours=5)),
    ):
        answers += [await store.find(wanted), await store.count(wanted)]
    answers += [await store.position(job.id) for job in everything]
    answers += [await store.highest_priority(besides=job.id) for job in everything]
    return [comparable(answer) for answer in answers]


async def compare(database: Any, todo: list[Step]) -> None:
    plain, other = MemoryJobStore(), SqlJobStore(database)
    for hour, step in enumerate(todo):
        now = NOW + timedelta(hours=hour)
        assert in_no_order(await step(now, plain)) == in_no_order(await step(now, other))
    end = NOW + timedelta(hours=len(todo))
    assert await seen(plain, end) == await seen(other, end)
    quotas = SqlQuotaStore(database)
    for day in {NOW.date(), end.date()}:
        assert await plain.quotas.used(day) == await quotas.used(day)


async def compare_with_sqlite(folder: Path, todo: list[Step]) -> None:
    database = Database(folder / "jobs.sqlite3")
    await database.open()
    try:
        await compare(database, todo)
    finally:
        await database.close()


async def compare_with_postgres(url: str, todo: list[Step]) -> None:
    database = open_database(url)
    await database.open()
    try:
        tables = "jobs, marks, turns, job_counts, key_values, day_use"
        await database.write(lambda db: db.execute(f"TRUNCATE {tables} CASCADE").rowcount)
        await compare(database, todo)
    finally:
        await database.close()


def check(todo: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare_with_sqlite(Path(folder), todo))


@needs("postgres")
@pytest.mark.timeout(300)  # some three seconds on an idle machine
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(todo=st.lists(steps, min_size=20, max_size=60))
def test_postgres_answers_the_same(postgres_url: str, todo: list[Step]) -> None:
    asyncio.run(compare_with_postgres(postgres_url, todo))


@pytest.mark.timeout(300)  # some three seconds on an idle machine
@settings(max_examples=25, deadline=None)
@given(st.lists(steps, min_size=20, max_size=60))
def test_sqlite_answers_the_same(todo: list[Step]) -> None:
    check(todo)


@pytest.mark.nightly
@settings(max_examples=200, deadline=None, derandomize=False)
@given(st.lists(steps, min_size=20, max_size=100))
def test_sqlite_answers_the_same_for_long(todo: list[Step]) -> None:
    check(todo)
