"""What a picture takes is measured on the attempt that made it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sdrest.core.events import JobChanged, JobProgressed
from sdrest.core.job import Job, JobState, JobType, Phase, Progress
from sdrest.jobs.events import Broadcast
from sdrest.jobs.timings import Timing, TimingRecorder


class Timings:
    """Keeps what is measured."""

    def __init__(self) -> None:
        self.recorded: list[Timing] = []

    async def record(self, timing: Timing) -> None:
        self.recorded.append(timing)

    async def of_model(self, model_id: str) -> list[Timing]:
        raise AssertionError("nobody asks here")


def job(state: JobState, **more: Any) -> Job:
    parameters = {"width": 512, "height": 512, "steps": 10}
    return Job(
        id="j",
        type=JobType.TXT2IMG,
        state=state,
        model_id="m",
        created_at=datetime.now(UTC),
        parameters=parameters,
        **more,
    )


async def test_the_steps_of_an_attempt_that_died_are_not_counted() -> None:
    now = 0.0
    timings = Timings()
    recorder = TimingRecorder(timings, Broadcast(), clock=lambda: now)

    async def step(at: float, number: int) -> None:
        nonlocal now
        now = at
        progress = Progress(phase=Phase.SAMPLE, step=number, steps=10, image=1, images=1)
        await recorder._heard(JobProgressed("j", "", progress))

    await step(0, 1)
    await step(1, 2)
    await recorder._heard(JobChanged(job(JobState.PENDING), JobState.RUNNING))
    await recorder._heard(JobChanged(job(JobState.RUNNING), JobState.PENDING))
    for number in range(1, 11):
        await step(600 + number, number)
    await recorder._heard(JobChanged(job(JobState.COMPLETED, seconds=12.0), JobState.RUNNING))
    assert [timing.seconds_per_step for timing in timings.recorded] == [1.0]


@pytest.mark.parametrize("is_seen", [True, False])
async def test_a_job_that_was_too_quick_to_be_watched_is_measured_as_a_whole(is_seen: bool) -> None:
    timings = Timings()
    recorder = TimingRecorder(timings, Broadcast(), clock=lambda: 0.0)
    if is_seen:
        progress = Progress(phase=Phase.SAMPLE, step=10, steps=10, image=1, images=1)
        await recorder._heard(JobProgressed("j", "", progress))
    await recorder._heard(JobChanged(job(JobState.COMPLETED, seconds=0.5), JobState.RUNNING))
    await recorder._heard(
        JobChanged(job(JobState.COMPLETED, seconds=0.5), JobState.COMPLETED)
    )  # it was put into the bin
    (timing,) = timings.recorded
    assert (timing.seconds_per_step, timing.seconds_per_picture) == (0.05, 0.0)
