"""Whose job is next: loaded models first, within a bound, across callers, and nobody waits for ever."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from sdrest.core.job import Job, JobType
from sdrest.jobs.store import JobStore
from sdrest.storage.sql.turns import MAX_PASSED_OVER

NOW = datetime(2026, 1, 1, tzinfo=UTC)


_NUMBERS = itertools.count()


async def add(store: JobStore, model: str, principal: str = "", job_type: JobType = JobType.TXT2IMG) -> None:
    job = Job(id=f"job-{next(_NUMBERS)}", type=job_type, model_id=model, principal=principal, created_at=NOW)
    await store.add(job, max_pending=1000)


async def run_all(store: JobStore, *, prefer: bool) -> list[Job]:
    """Take all jobs, with one model in memory at a time."""
    taken: list[Job] = []
    loaded = ""
    while True:
        preferred = (loaded,) if prefer and loaded else ()
        job = await store.claim(list(JobType), now=NOW, lease_seconds=60, worker="w", preferred_models=preferred)
        if job is None:
            return taken
        taken.append(job)
        loaded = job.model_id if job.type is not JobType.UPSCALE else loaded


def loads(taken: list[Job]) -> int:
    models = [job.model_id for job in taken]
    return 1 + sum(first != second for first, second in itertools.pairwise(models))


@pytest.mark.parametrize("principals", [("",), ("ann", "bob")])
async def test_alternating_models_cost_a_handful_of_loads(store: JobStore, principals: tuple[str, ...]) -> None:
    for index in range(40):
        await add(store, "ab"[index % 2], principals[index % len(principals)])
    taken = await run_all(store, prefer=True)
    assert len(taken) == 40
    assert loads(taken) <= 6


async def test_plain_order_would_load_for_every_job(store: JobStore) -> None:
    for index in range(40):
        await add(store, "ab"[index % 2])
    assert loads(await run_all(store, prefer=False)) == 40


async def test_nobody_is_passed_over_more_often_than_the_bound(store: JobStore) -> None:
    await add(store, "a", "ann")
    assert (await store.claim(list(JobType), now=NOW, lease_seconds=60, worker="w")) is not None
    await add(store, "b", "bob")
    for _ in range(30):
        await add(store, "a", "ann")
    taken = await run_all(store, prefer=True)
    first_of_bob = next(index for index, job in enumerate(taken) if job.principal == "bob")
    assert first_of_bob <= MAX_PASSED_OVER


async def test_job_that_drives_no_model_out_is_not_passed_over(store: JobStore) -> None:
    await add(store, "a")
    assert (await store.claim(list(JobType), now=NOW, lease_seconds=60, worker="w")) is not None
    await add(store, "esrgan", job_type=JobType.UPSCALE)
    await add(store, "a")
    job = await store.claim(list(JobType), now=NOW, lease_seconds=60, worker="w", preferred_models=("a",))
    assert job is not None
    assert job.type is JobType.UPSCALE
