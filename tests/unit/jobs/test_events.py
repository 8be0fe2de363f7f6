"""Listeners get every change in order; only progress is coalesced, and only the slow are dropped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sdrest.core.events import Event, JobChanged, JobProgressed
from sdrest.core.job import Job, JobType, Progress
from sdrest.jobs.events import MAX_BACKLOG, Broadcast, Subscription


def changed(number: int) -> JobChanged:
    return JobChanged(Job(id=str(number), type=JobType.TXT2IMG, created_at=datetime.now(UTC)), None)


def progressed(job_id: str, step: int) -> JobProgressed:
    return JobProgressed(job_id, "", Progress(step=step))


async def drain(subscription: Subscription) -> list[Event]:
    subscription.close()
    return [event async for event in subscription]


async def test_progress_is_coalesced_and_changes_are_not() -> None:
    broadcast = Broadcast()
    listener = broadcast.subscribe()
    events: list[Event] = [changed(1), progressed("a", 1), progressed("b", 1), progressed("a", 2), changed(2)]
    for event in events:
        broadcast.publish(event)
    assert await drain(listener) == [events[0], events[2], events[3], events[4]]


async def test_a_listener_that_is_too_slow_is_closed_and_the_others_are_not() -> None:
    broadcast = Broadcast()
    slow, quick = broadcast.subscribe(), broadcast.subscribe()
    heard: list[Event] = []

    async def listen() -> None:
        heard.extend([event async for event in quick])

    task = asyncio.create_task(listen())
    for number in range(2 * MAX_BACKLOG):
        broadcast.publish(changed(number))
        await asyncio.sleep(0)
    assert slow.closed
    assert len(broadcast) == 1
    broadcast.close()
    await task
    assert len(heard) == 2 * MAX_BACKLOG


async def test_filters_choose_what_is_heard() -> None:
    broadcast = Broadcast()
    listener = broadcast.subscribe(lambda event: isinstance(event, JobProgressed))
    broadcast.publish(changed(1))
    broadcast.publish(progressed("a", 1))
    assert len(await drain(listener)) == 1
