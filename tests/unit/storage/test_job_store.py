"""What every job store does."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sdrest.core.errors import QueueFull
from sdrest.core.job import Failure, Job, JobState, JobType, Output
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.store import PAUSED_KEY, Ending, JobStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
PICTURE = Output(file="image_0.png", media_type="image/png", size_bytes=100, width=8, height=8, seed=7, infotext="a")
COMPLETED = Ending(state=JobState.COMPLETED, finished_at=LATER, outputs=(PICTURE,), seconds=1.5, warnings=("w",))
FAILED = Ending(state=JobState.FAILED, finished_at=LATER, failure=Failure(slug="s", message="m", log_tail=("a", "b")))


async def added(store: JobStore, name: str, **fields: Any) -> Job:
    job = Job(**{"id": name, "type": JobType.TXT2IMG, "created_at": NOW, **fields})
    return await store.add(job, max_pending=1000)


async def claimed(store: JobStore, *types: JobType) -> Job:
    job = await store.claim(types or list(JobType), now=NOW, lease_seconds=60, worker="w")
    assert job is not None
    return job


async def ended(store: JobStore, name: str, ending: Ending = COMPLETED, **fields: Any) -> Job:
    """A job that has ended; no other may be pending."""
    await added(store, name, **fields)
    job = await claimed(store)
    assert job.id == name
    done = await store.finish(name, job.lease_id, ending)
    assert done is not None
    return done


async def states(store: JobStore) -> dict[str, JobState]:
    return {job.id: job.state for job in await store.find(JobFilter(limit=1000))}


# ---------------------------------------------------------------------- adding


async def test_a_job_comes_back_as_it_was_stored(store: JobStore) -> None:
    job = Job(
        id="whole",
        type=JobType.VIDEO,
        principal="ann",
        priority=3,
        parameters={"prompt": "é", "loras": [{"name": "x"}]},
        model_id="m",
        model_name="Model",
        created_at=NOW,
        warnings=("careful",),
        idempotency_key="key",
        webhook_url="https://example.org",
        origin={"dialect": "native"},
        result_key="r",
    )
    assert await store.add(job, max_pending=1) == job
    assert await store.get("whole") == job
    assert await store.get("other") is None
    assert await store.known(["whole", "other"]) == {"whole"}
    assert await store.known([]) == set()


async def test_the_queue_is_bounded_as_a_whole_and_for_each_principal(store: JobStore) -> None:
    async def add(name: str, principal: str, most: int | None) -> Job:
        job = Job(id=name, type=JobType.TXT2IMG, principal=principal, created_at=NOW)
        return await store.add(job, max_pending=3, max_pending_of_principal=most)

    await add("a", "ann", 2)
    await add("b", "ann", 2)
    with pytest.raises(QueueFull, match="you have 2"):
        await add("c", "ann", 2)
    await add("d", "bob", None)
    with pytest.raises(QueueFull, match="3 jobs"):
        await add("e", "bob", None)
    assert set(await states(store)) == {"a", "b", "d"}
    await claimed(store)  # who runs waits no more
    await add("f", "bob", None)


async def test_a_finished_job_needs_no_room(store: JobStore) -> None:
    await added(store, "a")
    done = Job(id="b", type=JobType.TXT2IMG, state=JobState.COMPLETED, created_at=NOW, finished_at=NOW)
    await store.add(done, max_pending=1)
    assert await store.get("b") == done


async def test_an_idempotency_key_brings_back_the_first_job_of_its_principal(store: JobStore) -> None:
    first = await added(store, "a", principal="ann", idempotency_key="k")
    assert await added(store, "b", principal="ann", idempotency_key="k") == first
    assert (await added(store, "c", principal="bob", idempotency_key="k")).id == "c"
    assert (await added(store, "d", principal="ann")).id == "d"
    assert (await added(store, "e", principal="ann")).id == "e"
    assert await store.by_key("ann", "k") == first
    assert await store.by_key("ann", "other") is None
    assert await store.by_key("ann", "") is None


async def test_only_an_ended_job_gives_its_idempotency_key_back(store: JobStore) -> None:
    await added(store, "a", idempotency_key="k")
    await store.forget_key("a")
    assert await store.by_key("", "k") is not None
    await store.request_cancel("a", NOW)
    await store.forget_key("a")
    assert await store.by_key("", "k") is None
    assert (await added(store, "b", idempotency_key="k")).id == "b"


async def test_a_result_key_finds_the_newest_completed_job_of_its_principal(store: JobStore) -> None:
    await ended(store, "old", principal="ann", result_key="r")
    new = await ended(store, "new", principal="ann", result_key="r")
    await ended(store, "failed", FAILED, principal="ann", result_key="r")
    await ended(store, "bobs", principal="bob", result_key="r")
    await added(store, "pending", principal="ann", result_key="r")
    assert await store.by_result("ann", "r") == new
    assert await store.by_result("ann", "other") is None


# ---------------------------------------------------------------------- looking


async def test_filters(store: JobStore) -> None:
    day = timedelta(days=1)
    await ended(store, "a", principal="ann", model_id="m", parameters={"prompt": "A red Apple"}, created_at=NOW - day)
    await ended(store, "b", FAILED, principal="bob", model_name="Apple Mix", parameters={"prompt": "50% red_fox"})
    await added(store, "c", type=JobType.HASH, principal="ann", created_at=NOW + day)

    async def ids(**fields: Any) -> list[str]:
        wanted = JobFilter(**fields)
        found = [job.id for job in await store.find(wanted)]
        assert await store.count(wanted) == len(found)
        return found

    assert await ids() == ["c", "b", "a"]
    assert await ids(newest_first=False) == ["a", "b", "c"]
    assert await ids(states=(JobState.COMPLETED, JobState.PENDING)) == ["c", "a"]
    assert await ids(states=(JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)) == ["b", "a"]
    assert await ids(types=(JobType.HASH,)) == ["c"]
    assert await ids(principal="ann") == ["c", "a"]
    assert await ids(model_id="m") == ["a"]
    assert await ids(search="apple") == ["b", "a"]
    assert await ids(search="RED apple") == ["b", "a"]
    assert await ids(search="fox apple") == ["b"]
    assert await ids(search="0%") == ["b"]
    assert await ids(search="d_f") == ["b"]
    assert await ids(search="%") == ["b"]
    assert await ids(created_after=NOW) == ["c", "b"]
    assert await ids(created_before=NOW) == ["a"]
    assert await ids(finished_before=LATER) == []
    assert await ids(finished_before=LATER + day) == ["b", "a"]
    assert await ids(with_outputs=True) == ["a"]


async def test_pages(store: JobStore) -> None:
    for number in range(5):
        await added(store, str(number))
    assert [job.id for job in await store.find(JobFilter(limit=2, offset=1))] == ["3", "2"]
    assert [job.id for job in await store.find(JobFilter(limit=2, offset=4))] == ["0"]
    assert await store.find(JobFilter(limit=2, offset=5)) == []
    assert await store.count(JobFilter(limit=2, offset=5)) == 5


async def test_counts_and_sizes(store: JobStore) -> None:
    await ended(store, "a", principal="ann")
    await ended(store, "b", FAILED, principal="bob")
    await added(store, "c", principal="ann")
    nothing = dict.fromkeys(JobState, 0)
    one = {JobState.COMPLETED: 1, JobState.PENDING: 1}
    assert await store.counts("ann") == nothing | one
    assert await store.counts() == nothing | one | {JobState.FAILED: 1}
    assert await store.output_bytes() == 100
    await store.remove("a")
    assert await store.counts("ann") == nothing | {JobState.PENDING: 1}
    assert await store.output_bytes() == 0


async def test_places_in_the_queue(store: JobStore) -> None:
    for name, priority in (("a", 0), ("b", 0), ("c", 5), ("d", -1)):
        await added(store, name, priority=priority)
    assert [await store.position(name) for name in "abcd"] == [2, 3, 1, 4]
    assert await store.highest_priority() == 5
    assert await store.highest_priority(besides="c") == 0
    assert (await claimed(store)).id == "c"
    assert await store.position("c") is None
    assert await store.position("nobody") is None
    await store.clear_pending(NOW)
    assert await store.highest_priority() is None


# ---------------------------------------------------------------------- running


async def test_a_claim_counts_the_attempt_and_takes_only_what_it_may(store: JobStore) -> None:
    await added(store, "picture")
    await added(store, "hash", type=JobType.HASH)
    job = await claimed(store, JobType.HASH, JobType.CONVERT)
    assert (job.id, job.state, job.attempt, job.started_at) == ("hash", JobState.RUNNING, 1, NOW)
    assert await store.get("hash") == job
    assert await store.claim([JobType.HASH], now=NOW, lease_seconds=60, worker="w") is None


async def test_an_ending_is_stored_once_and_only_by_the_attempt_that_holds_the_job(store: JobStore) -> None:
    await added(store, "a")
    assert await store.finish("a", "", COMPLETED) is None
    before = await claimed(store)
    await store.release("a", before.lease_id, now=NOW, count_attempt=False, outputs=())
    job = await claimed(store)
    assert (job.attempt, job.lease_id != before.lease_id) == (before.attempt, True)
    assert [item.id for item in await store.renew([job.lease_id, before.lease_id], until=LATER)] == ["a"]
    assert await store.note_output("a", job.lease_id, PICTURE)
    for lease_id in (before.lease_id, ""):
        assert await store.renew([lease_id], until=LATER) == []
        assert not await store.note_output("a", lease_id, PICTURE, must_not)
        assert await store.finish("a", lease_id, COMPLETED, must_not) is None
        assert (await store.release("a", lease_id, now=NOW, count_attempt=True, outputs=(), place=must_not)) is None
    done = await store.finish("a", job.lease_id, COMPLETED)
    assert done is not None
    assert (done.state, done.finished_at, done.outputs) == (JobState.COMPLETED, LATER, (PICTURE,))
    assert (done.seconds, done.warnings) == (1.5, ("w",))
    assert await store.get("a") == done
    for again in (COMPLETED, FAILED):
        assert await store.finish("a", job.lease_id, again, must_not) is None
    assert await store.renew([job.lease_id], until=LATER) == []
    assert not await store.note_output("a", job.lease_id, PICTURE, must_not)
    assert await store.release("a", job.lease_id, now=NOW, count_attempt=True, outputs=(), place=must_not) is None
    assert await store.get("a") == done
    assert await store.finish("nobody", job.lease_id, COMPLETED) is None


def must_not() -> None:
    raise AssertionError("files are placed for an attempt that does not hold the job")


async def test_files_are_placed_with_the_change_that_names_them(store: JobStore) -> None:
    """Where they cannot be, nothing has changed."""
    placed: list[str] = []

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    await added(store, "a")
    job = await claimed(store)
    changes: tuple[Callable[[Callable[[], None]], Awaitable[object]], ...] = (
        lambda place: store.note_output("a", job.lease_id, PICTURE, place),
        lambda place: store.release("a", job.lease_id, now=NOW, count_attempt=True, outputs=(), place=place),
        lambda place: store.finish("a", job.lease_id, COMPLETED, place),
    )
    for change in changes:
        with pytest.raises(OSError, match="No space"):
            await change(full)
        assert await store.get("a") == job
    assert await changes[0](lambda: placed.append("noted"))
    assert await changes[2](lambda: placed.append("finished"))
    assert placed == ["noted", "finished"]


async def test_nothing_is_taken_from_a_paused_queue(store: JobStore) -> None:
    await added(store, "a")
    await store.set_value(PAUSED_KEY, True)
    assert await store.claim(list(JobType), now=NOW, lease_seconds=60, worker="w") is None
    await store.set_value(PAUSED_KEY, False)
    assert (await claimed(store)).id == "a"


async def test_a_renewed_lease_tells_what_became_of_its_job(store: JobStore) -> None:
    await added(store, "a")
    await added(store, "b")
    first, second = await claimed(store), await claimed(store)
    await store.request_cancel("a", LATER)
    told = await store.renew([first.lease_id, second.lease_id], until=LATER)
    assert {job.id: job.cancel_requested_at for job in told} == {"a": LATER, "b": None}


async def test_a_failure_is_kept_with_its_last_words_and_with_what_was_made(store: JobStore) -> None:
    await added(store, "a")
    job = await claimed(store)
    done = await store.finish(
        "a", job.lease_id, Ending(state=FAILED.state, finished_at=NOW, failure=FAILED.failure, outputs=(PICTURE,))
    )
    assert done is not None
    assert (done.state, done.failure, done.outputs) == (JobState.FAILED, FAILED.failure, (PICTURE,))
    assert await store.find(JobFilter(with_outputs=True)) == [done]
    assert await store.output_bytes() == 100


async def test_outputs_are_noted_one_by_one_in_order_and_a_newer_one_replaces_the_older(store: JobStore) -> None:
    def output(name: str, size: int) -> Output:
        return Output(file=name, media_type="image/png", size_bytes=size)

    await added(store, "a")
    job = await claimed(store)
    for name, size in (("image_10.png", 1), ("image_2.png", 2), ("image_10.png", 3)):
        await store.note_output("a", job.lease_id, output(name, size))
    after = await store.get("a")
    assert after is not None
    assert after.outputs == (output("image_2.png", 2), output("image_10.png", 3))


@pytest.mark.parametrize(("counted", "attempt"), [(True, 1), (False, 0)])
async def test_a_released_job_keeps_its_place_and_what_was_made(store: JobStore, counted: bool, attempt: int) -> None:
    await added(store, "a")
    await added(store, "b")
    lease_id = (await claimed(store)).lease_id
    job = await store.release("a", lease_id, now=LATER, count_attempt=counted, outputs=(PICTURE,))
    assert job is not None
    assert (job.state, job.attempt, job.started_at, job.finished_at) == (JobState.PENDING, attempt, None, None)
    again = await claimed(store)
    assert (again.id, again.attempt, again.outputs) == ("a", attempt + 1, (PICTURE,))
