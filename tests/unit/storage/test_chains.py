"""Jobs that wait for pictures of others, in every store."""

from __future__ import annotations

import pytest

from sdrest.core.job import JobState, JobType
from sdrest.jobs.store import Ending, JobStore
from tests.unit.storage.test_job_store import COMPLETED, FAILED, LATER, NOW, added, claimed, states


async def ended(store: JobStore, ending: Ending) -> None:
    """Take the next job and end it."""
    job = await claimed(store)
    assert await store.finish(job.id, job.lease_id, ending) is not None


async def test_a_job_that_waits_is_not_taken_before_all_that_it_waits_for_is_there(store: JobStore) -> None:
    waiting = await added(store, "last", priority=9, waits_for=("first",))
    assert await store.get("last") == waiting
    await added(store, "first")
    assert (await claimed(store)).id == "first"  # whatever the priority of the one that waits
    assert await store.claim(list(JobType), now=NOW, lease_seconds=9, worker="w") is None
    assert await store.follow(NOW) == []
    assert await store.position("last") == 1


async def test_it_goes_on_when_its_sources_are_complete(store: JobStore) -> None:
    await added(store, "a")
    await added(store, "b")
    await added(store, "c", waits_for=("a", "b"))
    await ended(store, COMPLETED)
    (changed,) = await store.follow(LATER)
    assert (changed.id, changed.state, changed.waits_for) == ("c", JobState.PENDING, ("b",))
    assert await store.follow(LATER) == []
    await ended(store, COMPLETED)
    (changed,) = await store.follow(LATER)
    assert changed.waits_for == ()
    assert (await claimed(store)).id == "c"


@pytest.mark.parametrize(
    ("ending", "state", "slug", "message"),
    [
        (FAILED, JobState.FAILED, "source_failed", "the job a, whose picture it waited for, failed: m"),
        (
            Ending(state=JobState.CANCELLED, finished_at=LATER),
            JobState.CANCELLED,
            "source_cancelled",
            "the job a, whose picture it waited for, was cancelled",
        ),
    ],
    ids=["failed", "cancelled"],
)
async def test_it_ends_with_its_source_and_so_does_what_waits_for_it(
    store: JobStore, ending: Ending, state: JobState, slug: str, message: str
) -> None:
    await added(store, "a")
    await added(store, "b", waits_for=("a",))
    await added(store, "c", waits_for=("b",))
    await added(store, "other")
    await ended(store, ending)
    changed = {job.id: job for job in await store.follow(LATER)}
    assert set(changed) == {"b", "c"}
    assert {job.state for job in changed.values()} == {state}
    failure = changed["b"].failure
    assert failure is not None
    assert (failure.slug, failure.message, changed["b"].finished_at) == (slug, message, LATER)
    assert await states(store) == {"a": state, "b": state, "c": state, "other": JobState.PENDING}
    counts = await store.counts()
    assert (counts[state], counts[JobState.PENDING]) == (3, 1)


async def test_it_fails_when_its_source_is_not_there_any_more(store: JobStore) -> None:
    await added(store, "a")
    await added(store, "b", waits_for=("a",))
    await ended(store, COMPLETED)
    assert await store.remove("a")
    (changed,) = await store.follow(LATER)
    assert changed.failure is not None
    assert (changed.state, changed.failure.slug) == (JobState.FAILED, "source_gone")


async def test_it_ends_by_the_source_that_was_lost_first(store: JobStore) -> None:
    await added(store, "b", waits_for=("gone",))
    await added(store, "c", waits_for=("b", "never"))
    failures = {job.id: job.failure for job in await store.follow(LATER)}
    assert failures["c"] is not None
    assert failures["c"].message == "the job never, whose picture it waited for, is not there any more"


async def test_one_that_waits_can_be_cancelled_and_is_then_left_alone(store: JobStore) -> None:
    await added(store, "a")
    await added(store, "b", waits_for=("a",))
    cancelled = await store.request_cancel("b", NOW)
    assert cancelled is not None
    assert cancelled.state is JobState.CANCELLED
    await ended(store, FAILED)
    assert await store.follow(LATER) == []
    assert await store.get("b") == cancelled
