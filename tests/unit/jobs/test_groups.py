"""Groups on their way into the queue."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from PIL import Image

from sdrest.core.errors import FieldProblem, InvalidInput, QueueFull, QuotaReached
from sdrest.core.group import Axis, Group
from sdrest.core.job import JobState, JobType
from sdrest.core.parameters import GenerationParameters
from sdrest.core.use import Limits
from sdrest.jobs.allowance import Allowance, Allowances
from sdrest.jobs.intake import Intake
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.quotas import Quotas
from sdrest.jobs.submission import Prepared, Submission
from tests.memory.groups import MemoryGroupStore
from tests.unit.jobs.conftest import ANN, Queue
from tests.unit.jobs.queue_server import unchecked

MODELS = ("flux", "sdxl", "flux", "wan", "sdxl")


def group(*values: str) -> Group:
    axes = (Axis(label="model", values=values),)
    return Group(id="g", principal="ann", name="", created_at=datetime(2026, 1, 1, tzinfo=UTC), axes=axes)


def asked(model: str, **fields: object) -> Submission:
    parameters = GenerationParameters(prompt="a", vae_model=model)
    return Submission(type=JobType.TXT2IMG, parameters=parameters, principal=ANN, **fields)  # type: ignore[arg-type]


def intake(queue: Queue) -> Intake:
    return Intake(queue.service, unchecked, MemoryGroupStore(queue.store), max_pending=9)


async def test_what_needs_the_same_files_follows_each_other(queue: Queue) -> None:
    await intake(queue).submit_group(group(*MODELS), [asked(model) for model in MODELS])
    jobs = await queue.store.find(JobFilter(newest_first=False))
    assert [job.parameters["vae_model"] for job in jobs] == ["flux", "flux", "sdxl", "sdxl", "wan"]
    assert [job.place for job in jobs] == [0, 2, 1, 4, 3]  # and each knows where it belongs


async def test_all_jobs_have_the_pictures_of_the_first(queue: Queue) -> None:
    picture = Image.new("RGB", (8, 8))
    asks = [
        dataclasses.replace(asked(model, pictures={"init_image": [picture]}), type=JobType.IMG2IMG) for model in "ab"
    ]
    await intake(queue).submit_group(group("a", "b"), asks)
    for job in await queue.store.find(JobFilter()):
        assert job.parameters["init_image"] == "init_image_0.png"
        assert queue.files.has_input(job.id, "init_image_0.png")


async def test_each_job_of_a_group_is_its_own_and_told(queue: Queue) -> None:
    await intake(queue).submit_group(group("a", "b"), [asked("a"), asked("b")])
    jobs = await queue.store.find(JobFilter(group_id="g", newest_first=False))
    assert queue.broadcast.changes == [(job.id, None, JobState.PENDING) for job in jobs]
    assert len(jobs) == 2


async def test_a_group_is_bound_as_its_jobs_are_one_by_one(queue: Queue) -> None:
    allowances = Allowances(user=Allowance(max_pending=2))
    way_in = Intake(queue.service, unchecked, MemoryGroupStore(queue.store), max_pending=9, allowances=allowances)
    with pytest.raises(QueueFull, match="2 are what one user may have"):
        await way_in.submit_group(group(*"abc"), [asked(model) for model in "abc"])
    await way_in.submit_group(group("a", "b"), [asked("a"), asked("b")])


async def test_a_group_counts_for_the_quotas_of_whoever_asks(queue: Queue) -> None:
    quotas = Quotas(queue.store.quotas, Limits(images=3))
    way_in = Intake(queue.service, unchecked, MemoryGroupStore(queue.store), max_pending=9, quotas=quotas)
    await way_in.submit_group(group("a", "b"), [asked("a"), asked("b")])
    with pytest.raises(QuotaReached, match="2 of 3 pictures a day"):
        await way_in.submit_group(dataclasses.replace(group("c", "d"), id="h"), [asked("c"), asked("d")])


async def test_a_repeated_group_is_the_first_one_and_leaves_no_files(queue: Queue) -> None:
    picture = {"init_image": [Image.new("RGB", (8, 8))]}
    asks = [dataclasses.replace(asked(model, pictures=picture), type=JobType.IMG2IMG) for model in "ab"]
    way_in = intake(queue)
    first = dataclasses.replace(group("a", "b"), idempotency_key="k")
    assert await way_in.submit_group(first, asks) == first
    files = queue.spool()
    assert len(files) == 2
    assert await way_in.submit_group(dataclasses.replace(first, id="h"), asks) == first
    assert len(await queue.store.find(JobFilter())) == len(queue.broadcast.changes) == 2
    assert queue.spool() == files


async def test_nothing_of_a_group_is_left_that_is_refused(queue: Queue) -> None:
    picture = {"init_image": [Image.new("RGB", (8, 8))]}

    async def picky(submission: Submission) -> Prepared:
        if submission.parameters == asked("b").parameters:
            raise InvalidInput([FieldProblem("steps", "too many")])
        return await unchecked(submission)

    strict = Intake(queue.service, picky, MemoryGroupStore(queue.store), max_pending=9)
    with pytest.raises(InvalidInput, match=r"too many \(at model b\)"):
        await strict.submit_group(group("a", "b"), [asked("a", pictures=picture), asked("b", pictures=picture)])
    with pytest.raises(QueueFull, match="no room for 4 jobs"):
        await queue.intake.submit_group(group(*"abcd"), [asked(model, pictures=picture) for model in "abcd"])
    assert await queue.store.count(JobFilter()) == 0
    assert queue.spool() == []
