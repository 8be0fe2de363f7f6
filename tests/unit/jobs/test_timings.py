"""What a picture takes is measured on the attempt that made it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from sdrest.core.events import JobChanged, JobProgressed
from sdrest.core.job import Job, JobState, JobType, Phase, Progress
from sdrest.jobs.events import Broadcast
from sdrest.jobs.timings import Timing, TimingRecorder, measured


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


@pytest.mark.parametrize(("cfg_scale", "guided"), [(7.0, True), (1.0, False)])
def test_a_timing_tells_of_one_step_and_of_the_rest_of_one_picture(cfg_scale: float, guided: bool) -> None:
    parameters = {"width": 512, "height": 256, "steps": 4, "batch_count": 2, "cfg_scale": cfg_scale}
    done = dataclasses.replace(job(JobState.COMPLETED, seconds=20.0), parameters=parameters)
    timing = measured(done, (100.0, 1), (104.0, 3))
    assert timing == Timing(
        model_id="m", width=512, height=256, guided=guided, seconds_per_step=2.0, seconds_per_picture=2.0
    )


def test_one_step_is_measured_as_a_whole() -> None:
    done = dataclasses.replace(job(JobState.COMPLETED, seconds=6.0), parameters={"width": 8, "height": 8, "steps": 1})
    timing = measured(done, (0.0, 0), (0.0, 0))
    assert timing is not None
    assert (timing.seconds_per_step, timing.seconds_per_picture, timing.guided) == (6.0, 0.0, False)


@pytest.mark.parametrize(
    "changes",
    [{"state": JobState.FAILED}, {"model_id": ""}, {"seconds": None}, {"parameters": {"width": 8, "height": 8}}],
)
def test_what_tells_nothing_is_not_kept(changes: dict[str, Any]) -> None:
    done = job(JobState.COMPLETED, seconds=1.0)
    assert measured(dataclasses.replace(done, **changes), (0.0, 0), (0.0, 0)) is None
