"""What every store does when jobs are cancelled, found at a start, changed and removed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sdrest.core.job import Job, JobState, JobType
from sdrest.jobs.store import JobStore
from tests.unit.storage.test_job_store import COMPLETED, FAILED, LATER, NOW, PICTURE, added, claimed, states

# ---------------------------------------------------------------------- cancelling


async def test_a_pending_job_is_cancelled_at_once(store: JobStore) -> None:
    await added(store, "a")
    job = await store.request_cancel("a", LATER)
    assert job is not None
    assert (job.state, job.cancel_requested_at, job.finished_at) == (JobState.CANCELLED, LATER, LATER)
    assert await store.request_cancel("a", LATER + timedelta(hours=1)) == job
    assert await store.request_cancel("nobody", NOW) is None
    assert await store.claim(list(JobType), now=NOW, lease_seconds=60, worker="w") is None


async def unwanted(store: JobStore) -> str:
    """The lease of a running job ``a`` whose cancelling was asked for, twice."""
    await added(store, "a")
    lease_id = (await claimed(store)).lease_id
    for when in (NOW, LATER):
        job = await store.request_cancel("a", when)
        assert job is not None
        assert (job.state, job.cancel_requested_at) == (JobState.RUNNING, NOW)
    return lease_id


@pytest.mark.parametrize("counted", [True, False])
async def test_a_release_of_a_job_that_was_to_be_cancelled_cancels_it(store: JobStore, counted: bool) -> None:
    job = await store.release("a", await unwanted(store), now=LATER, count_attempt=counted, outputs=(PICTURE,))
    assert job is not None
    assert (job.state, job.finished_at, job.outputs) == (JobState.CANCELLED, LATER, (PICTURE,))
    assert (job.attempt, job.started_at) == (1, NOW)


async def test_a_failure_of_a_job_that_was_to_be_cancelled_cancels_it(store: JobStore) -> None:
    job = await store.finish("a", await unwanted(store), FAILED)
    assert job is not None
    assert (job.state, job.failure) == (JobState.CANCELLED, None)


async def test_success_is_quicker_than_a_cancel(store: JobStore) -> None:
    job = await store.finish("a", await unwanted(store), COMPLETED)
    assert job is not None
    assert job.state is JobState.COMPLETED


async def test_clearing_cancels_what_waits_of_everybody_or_of_one(store: JobStore) -> None:
    for name, principal in (("a", "ann"), ("b", "bob"), ("c", "ann"), ("d", "cid")):
        await added(store, name, principal=principal)
    await claimed(store)
    assert [job.id for job in await store.clear_pending(LATER, "ann")] == ["c"]
    assert {job.id for job in await store.clear_pending(LATER)} == {"b", "d"}
    assert await states(store) == {"a": "running", "b": "cancelled", "c": "cancelled", "d": "cancelled"}
    job = await store.get("b")
    assert job is not None
    assert (job.cancel_requested_at, job.finished_at) == (LATER, LATER)


# ---------------------------------------------------------------------- starting again


async def test_a_job_left_running_is_queued_again_in_its_place_and_keeps_its_attempts(store: JobStore) -> None:
    for name in ("first", "second"):
        await added(store, name)
    for number in range(3):
        job = await claimed(store)
        assert (job.id, job.attempt, job.interruptions) == ("first", number + 1, number)
        await store.note_output("first", job.lease_id, PICTURE)
        (recovered,) = await store.recover(NOW, 10, server="")
        assert (recovered.state, recovered.started_at, recovered.outputs) == (JobState.PENDING, None, (PICTURE,))
    assert await store.recover(NOW, 10, server="") == []


async def test_a_job_that_is_running_at_every_abrupt_end_fails_at_last(store: JobStore) -> None:
    await added(store, "poison")
    endings: list[Job] = []
    for _ in range(3):
        await claimed(store)
        endings += await store.recover(NOW, 3, server="")
    assert [job.state for job in endings] == [JobState.PENDING, JobState.PENDING, JobState.FAILED]
    assert endings[-1].failure is not None
    assert endings[-1].failure.slug == "server_died"
    assert endings[-1].finished_at == NOW
    assert await store.claim(list(JobType), now=NOW, lease_seconds=60, worker="w") is None


async def test_a_job_that_was_to_be_cancelled_is_not_queued_again(store: JobStore) -> None:
    await unwanted(store)
    (job,) = await store.recover(LATER, 1, server="")
    assert (job.state, job.finished_at, job.failure) == (JobState.CANCELLED, LATER, None)


async def test_only_jobs_of_the_server_and_those_whose_lease_is_over_are_taken_back(store: JobStore) -> None:
    leases = {}
    for server in ("east", "west"):
        await added(store, server)
        job = await store.claim(list(JobType), now=NOW, lease_seconds=60, worker="w", server=server)
        assert job is not None
        leases[server] = job.lease_id
    assert await store.recover(NOW, 10) == []
    assert [job.id for job in await store.recover(NOW, 10, server="east")] == ["east"]
    await store.renew([leases["west"]], until=LATER)
    assert await store.recover(NOW + timedelta(minutes=2), 10) == []
    assert [job.id for job in await store.recover(LATER + timedelta(seconds=1), 10)] == ["west"]
    assert await store.renew([*leases.values()], until=LATER) == []


async def test_the_files_of_a_job_are_tidied_before_anybody_can_take_it(store: JobStore) -> None:
    """Where that cannot be, the job is still running."""

    def broken(_job: Job) -> None:
        raise OSError("the disk is gone")

    await added(store, "a")
    job = await claimed(store)
    with pytest.raises(OSError, match="gone"):
        await store.recover(NOW, 10, server="", tidy=broken)
    assert await store.get("a") == job
    tidied: list[Job] = []
    await store.recover(NOW, 10, server="", tidy=tidied.append)
    assert tidied == [job]


# ---------------------------------------------------------------------- changing


async def test_only_a_pending_job_changes_its_priority(store: JobStore) -> None:
    await added(store, "a")
    await added(store, "b")
    job = await store.prioritise("b", 7)
    assert job is not None
    assert job.priority == 7
    assert (await claimed(store)).id == "b"
    assert await store.prioritise("b", 1) is None
    assert await store.prioritise("nobody", 1) is None


async def test_only_an_ended_job_is_removed(store: JobStore) -> None:
    await added(store, "a")
    assert not await store.remove("a")
    lease_id = (await claimed(store)).lease_id
    assert not await store.remove("a")
    await store.finish("a", lease_id, COMPLETED)
    assert await store.remove("a")
    assert not await store.remove("a")
    assert await store.get("a") is None


async def test_values(store: JobStore) -> None:
    assert await store.get_value("k") is None
    for value in ({"a": [1, None]}, False, "é"):
        await store.set_value("k", value)
        assert await store.get_value("k") == value
