"""What is counted in a day, in every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from sdrest.core.errors import QuotaReached
from sdrest.core.job import Failure, Job, JobState, JobType
from sdrest.core.use import Charge, Limits, Use
from sdrest.jobs.group_store import GroupStore
from sdrest.jobs.quota_store import DayUse, QuotaStore
from sdrest.jobs.quotas import Budget
from sdrest.jobs.store import Ending, JobStore
from tests.unit.storage.test_groups import group, jobs
from tests.unit.storage.test_job_store import COMPLETED, LATER, NOW, PICTURE, claimed

TODAY = date(2026, 1, 2)
ONE = Charge(use=Use(images=1, pixel_steps=50, bytes=300))
THREE_A_DAY = [Budget("ann", Limits(images=3, pixel_steps=0, bytes=0))]


async def add(store: JobStore, name: str, *, budgets: list[Budget] | None = None, **fields: Any) -> Job:
    job = Job(**{"id": name, "type": JobType.TXT2IMG, "principal": "ann", "created_at": NOW, "charge": ONE, **fields})
    return await store.add(job, max_pending=99, budgets=THREE_A_DAY if budgets is None else budgets)


async def used(quotas: QuotaStore, subject: str = "ann", day: date = TODAY) -> tuple[int, int, int]:
    found = await quotas.used(day, [subject])
    use = found[0].use if found else Use()
    return use.images, use.pixel_steps, use.bytes


async def test_a_job_keeps_what_it_was_counted_with(store: JobStore, quotas: QuotaStore) -> None:
    charge = Charge(use=Use(images=2, pixel_steps=10**15, bytes=10**13), files=2, key="key:ci")
    job = await add(store, "a", charge=charge, budgets=[])
    assert await store.get("a") == job
    await add(store, "free", charge=None)
    assert await quotas.used(TODAY) == [
        DayUse(subject="ann", use=charge.use),
        DayUse(subject="key:ci", owner="ann", use=charge.use),
    ]
    assert await quotas.used(TODAY, ["key:ci", "bob"]) == [DayUse(subject="key:ci", owner="ann", use=charge.use)]


async def test_jobs_that_come_at_once_do_not_get_past_a_limit(store: JobStore, quotas: QuotaStore) -> None:
    answers = await asyncio.gather(*(add(store, f"j{number}") for number in range(8)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, QuotaReached)]
    assert (len(refused), len(answers)) == (5, 8)
    assert await used(quotas) == (3, 150, 900)
    assert (await store.counts())[JobState.PENDING] == 3
    await add(store, "bob's", principal="bob")
    await add(store, "tomorrow's", created_at=NOW + timedelta(days=1))
    assert await used(quotas, day=TODAY + timedelta(days=1)) == (1, 50, 300)


async def test_a_used_idempotency_key_counts_once(store: JobStore, quotas: QuotaStore) -> None:
    for name in ("a", "b", "c", "d"):
        assert (await add(store, name, idempotency_key="k")).id == "a"
    assert await used(quotas) == (1, 50, 300)


async def test_a_group_counts_as_a_whole_or_not_at_all(store: JobStore, groups: GroupStore, quotas: QuotaStore) -> None:
    four = [replace(job, charge=ONE) for job in jobs("a", "b", "c", "d")]
    with pytest.raises(QuotaReached, match="0 of 3 pictures a day, and this needs 4"):
        await groups.add(group("g"), four, max_pending=9, budgets=THREE_A_DAY)
    assert (await used(quotas), await groups.get("g"), await store.get("a")) == ((0, 0, 0), None, None)
    done = replace(four[3], state=JobState.COMPLETED, finished_at=NOW, charge=None)  # an earlier result is its own
    await groups.add(group("g"), [*four[:3], done], max_pending=9, budgets=THREE_A_DAY)
    assert await used(quotas) == (3, 150, 900)


async def test_what_is_cancelled_before_it_begins_is_given_back(store: JobStore, quotas: QuotaStore) -> None:
    await add(store, "source", charge=replace(ONE, key="key:ci"))
    await add(store, "follower", waits_for=("source",))
    await add(store, "third")
    await store.request_cancel("source", LATER)
    assert (await used(quotas), await used(quotas, "key:ci")) == ((2, 100, 600), (0, 0, 0))
    await store.request_cancel("source", LATER)
    assert await used(quotas) == (2, 100, 600)
    await store.follow(LATER)
    assert await used(quotas) == (1, 50, 300)
    await store.clear_pending(LATER)
    assert await used(quotas) == (0, 0, 0)


async def test_an_ended_job_counts_with_what_it_came_to(store: JobStore, quotas: QuotaStore) -> None:
    failed = Ending(state=JobState.FAILED, finished_at=LATER, failure=Failure(slug="engine_died", message="m"))
    cancelled = Ending(state=JobState.CANCELLED, finished_at=LATER)
    for number, (ending, then) in enumerate(
        ((COMPLETED, (1, 50, 100)), (failed, (1, 50, 100)), (cancelled, (2, 100, 100)))
    ):
        await add(store, str(number))
        job = await claimed(store)
        assert await store.finish(job.id, "not its lease", ending) is None
        done = await store.finish(job.id, job.lease_id, ending)
        assert done is not None
        assert await used(quotas) == then
    await store.remove("0")
    assert await used(quotas) == (2, 100, 100)


async def test_what_a_stopped_server_hands_back_goes_on_counting_until_it_ends(
    store: JobStore, quotas: QuotaStore
) -> None:
    await add(store, "a")
    job = await claimed(store)
    await store.release("a", job.lease_id, now=LATER, count_attempt=False, outputs=(PICTURE,))
    assert await used(quotas) == (1, 50, 300)
    job = await claimed(store)
    await store.request_cancel("a", LATER)
    await store.release("a", job.lease_id, now=LATER, count_attempt=False, outputs=())
    assert await used(quotas) == (1, 50, 0)
    await add(store, "b")
    await claimed(store)
    (lost,) = await store.recover(NOW + timedelta(days=1), 1)
    assert (lost.state, await used(quotas)) == (JobState.FAILED, (1, 50, 0))


async def test_limits_are_set_and_forgotten(quotas: QuotaStore) -> None:
    some, none_ = Limits(images=3, bytes=10**13), Limits(pixel_steps=0)
    await quotas.set_limits("ann", some)
    await quotas.set_limits("key:ci", none_)
    assert await quotas.limits() == {"ann": some, "key:ci": none_}
    await quotas.set_limits("ann", Limits(images=4))
    assert await quotas.limits(["ann", "bob"]) == {"ann": Limits(images=4)}
    await quotas.set_limits("ann", Limits())
    assert await quotas.limits(["ann"]) == {}


async def test_days_long_past_are_forgotten(store: JobStore, quotas: QuotaStore) -> None:
    await add(store, "a")
    await add(store, "b", created_at=NOW + timedelta(days=62))
    assert await used(quotas) == (1, 50, 300)
    await add(store, "c", created_at=NOW + timedelta(days=63))
    assert await used(quotas) == (0, 0, 0)
    await store.request_cancel("a", LATER)  # nothing is left to give back to
    assert await quotas.used(TODAY) == []
