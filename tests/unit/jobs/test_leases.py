"""Leases are kept while an attempt goes on; one that was lost, or whose job is to be cancelled, ends its attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sdrest.core.job import Job, JobState
from sdrest.jobs.leases import Leases
from sdrest.jobs.running import Attempt
from sdrest.jobs.store import Ending
from tests.unit.jobs.conftest import Queue


@pytest.fixture
def leases(queue: Queue) -> Leases:
    return Leases(queue.service, lease_seconds=60, clock=queue.clock)


async def begun(queue: Queue) -> Attempt:
    """The attempt at a new job."""
    await queue.submit()
    job = await queue.claimed()
    attempt = queue.service.running.of(job.id)
    assert attempt is not None
    return attempt


async def stored(queue: Queue, job: Job) -> Job:
    found = await queue.store.get(job.id)
    assert found is not None
    return found


async def test_a_lease_is_kept_for_as_long_as_somebody_looks(queue: Queue, leases: Leases) -> None:
    attempt = await begun(queue)
    for _ in range(3):
        queue.clock.now += timedelta(seconds=50)
        await leases.look()
    assert (await stored(queue, attempt.job)).state is JobState.RUNNING
    assert not attempt.is_cancelled
    queue.service.running.abandon(attempt)  # nobody holds it from here on
    queue.clock.now += timedelta(seconds=50)
    await leases.look()
    assert (await stored(queue, attempt.job)).state is JobState.RUNNING
    queue.clock.now += timedelta(seconds=50)
    await leases.look()
    after = await stored(queue, attempt.job)
    assert (after.state, after.interruptions) == (JobState.PENDING, 1)
    assert queue.broadcast.changes[-1] == (attempt.job.id, JobState.RUNNING, JobState.PENDING)


async def test_a_lease_that_is_another_servers_ends_the_attempt(queue: Queue, leases: Leases) -> None:
    attempt = await begun(queue)
    until = queue.clock() + timedelta(seconds=60)
    await queue.store.take_over(attempt.job.lease_id, server="west", worker="w", until=until)
    await leases.look()
    assert attempt.is_lost
    assert attempt.is_cancelled


async def test_a_wish_to_cancel_from_elsewhere_is_seen_at_the_next_look(queue: Queue, leases: Leases) -> None:
    wanted, other = await begun(queue), await begun(queue)
    await queue.store.request_cancel(wanted.job.id, queue.clock())
    await leases.look()
    assert [item.is_cancelled for item in (wanted, other)] == [True, False]
    assert not wanted.is_lost


async def test_what_ended_during_the_look_is_passed_over(
    queue: Queue, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending, lost = await begun(queue), await begun(queue)
    renew = queue.store.renew

    async def meanwhile(*args: object, **fields: object) -> object:
        ended = Ending(state=JobState.COMPLETED, finished_at=queue.clock())
        job = await queue.store.finish(ending.job.id, ending.job.lease_id, ended)
        assert job is not None
        queue.service.running.changed(job, JobState.RUNNING)
        renewed = await renew(*args, **fields)  # type: ignore[arg-type]
        return [job for job in renewed if job.id != lost.job.id]

    monkeypatch.setattr(queue.store, "renew", meanwhile)
    await leases.look()
    assert not ending.is_lost
    assert lost.is_lost
