"""From a request to a stored job: permissions, allowances, seeds, pictures, and what is left of one that was refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from PIL import Image

from sdrest.core.errors import Forbidden, OutcomeUnknown, QueueFull
from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.core.parameters import GenerationParameters, to_json
from sdrest.core.principal import ANYONE, NOBODY, Permission, Principal, Role
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.store import Ending
from sdrest.jobs.submission import Picture, Promised, Submission, mark_source
from tests.unit.jobs.conftest import ANN, Queue

MANAGER = Principal("mia", Role.USER, frozenset({Permission.GENERATE, Permission.MANAGE_MODELS}), "jwt")
PICTURES = {"init_image": [Image.new("RGB", (8, 8))]}


def img2img(principal: Principal = ANYONE, **fields: object) -> Submission:
    parameters = GenerationParameters(prompt="a", seed=7)
    return Submission(
        type=JobType.IMG2IMG,
        parameters=parameters,
        pictures=PICTURES,
        principal=principal,
        **fields,  # type: ignore[arg-type]
    )


async def test_a_random_seed_is_drawn_and_a_given_one_kept(queue: Queue) -> None:
    drawn = (await queue.submit()).parameters["seed"]
    assert 0 <= drawn < 2**32
    assert (await queue.submit(seed=7)).parameters["seed"] == 7


async def test_pictures_are_stored_under_the_names_in_the_parameters(queue: Queue) -> None:
    job = await queue.intake.submit(img2img())
    assert job.parameters["init_image"] == "init_image_0.png"
    assert queue.spool() == [f"{job.id}/input/init_image_0.png"]


async def test_which_output_a_picture_is_stays_known_whatever_is_made_of_it(queue: Queue) -> None:
    picture = Image.new("RGBA", (8, 8))
    mark_source(picture, "source/1")
    made = picture.convert("RGB").resize((16, 16)).crop((0, 0, 8, 8))
    claimed = Image.new("RGB", (8, 8))
    claimed.info["sdrest_source"] = "source/1"  # as a text within a file is read
    parameters = GenerationParameters(prompt="a", seed=7)
    pictures: dict[str, list[Picture]] = {"init_image": [made], "ref_images": [claimed, Promised("other", 2, 8, 8)]}
    job = await queue.intake.submit(Submission(type=JobType.IMG2IMG, parameters=parameters, pictures=pictures))
    assert job.sources == {"init_image_0.png": "source/1", "ref_images_1.png": "other/2"}
    assert job.waits_for == ("other",)


async def test_a_job_that_is_tried_again_has_the_same_origins(queue: Queue) -> None:
    picture = Image.new("RGB", (8, 8))
    mark_source(picture, "source/1")
    asked = Submission(
        type=JobType.IMG2IMG,
        parameters=GenerationParameters(prompt="a", seed=7),
        pictures={"init_image": [picture]},
        varied_from="source/0",
    )
    job = await queue.intake.submit(asked)
    await queue.store.request_cancel(job.id, queue.clock())
    again = await queue.intake.retry(job.id, ANYONE)
    assert (again.sources, again.varied_from, again.waits_for) == ({"init_image_0.png": "source/1"}, "source/0", ())


async def test_who_may_not_gets_nothing_stored(queue: Queue) -> None:
    large = Submission(type=JobType.TXT2IMG, parameters=GenerationParameters(width=1024, height=1024), principal=ANN)
    for refused in (img2img(NOBODY), img2img(ANN, priority=1), large):
        with pytest.raises(Forbidden):
            await queue.intake.submit(refused)
    assert queue.spool() == []
    assert await queue.store.find(JobFilter()) == []


async def test_a_full_queue_leaves_no_pictures(queue: Queue) -> None:
    for _ in range(2):
        await queue.intake.submit(img2img(ANN))
    before = queue.spool()
    with pytest.raises(QueueFull):
        await queue.intake.submit(img2img(ANN))
    await queue.submit()
    with pytest.raises(QueueFull):
        await queue.intake.submit(img2img())
    assert queue.spool() == before


async def test_the_pictures_stay_where_nobody_knows_whether_the_job_was_stored(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is lost in the moment in which it has written: somebody may be at work on the job already."""
    add = queue.store.add

    async def adds_and_breaks(*what: Any, **more: Any) -> Job:
        await add(*what, **more)
        raise OutcomeUnknown("the connection is broken")

    monkeypatch.setattr(queue.store, "add", adds_and_breaks)
    with pytest.raises(OutcomeUnknown):
        await queue.intake.submit(img2img())
    (job,) = await queue.store.find(JobFilter())
    assert queue.spool() == [f"{job.id}/input/init_image_0.png"]


async def test_a_repeated_request_stores_no_second_job_and_no_second_pictures(queue: Queue) -> None:
    first = await queue.intake.submit(img2img(idempotency_key="k"))
    assert await queue.intake.submit(img2img(idempotency_key="k")) == first
    assert queue.spool() == [f"{first.id}/input/init_image_0.png"]


async def completed(queue: Queue, content: bytes = b"png", size: int = 3, warnings: tuple[str, ...] = ()) -> Job:
    await queue.intake.submit(img2img(warnings=warnings))
    job = await queue.claimed()
    queue.files.output_folder(job.id).mkdir(parents=True)
    (queue.files.output_folder(job.id) / "image_0.png").write_bytes(content)
    output = Output(file="image_0.png", media_type="image/png", size_bytes=size)
    done = await queue.store.finish(
        job.id,
        job.lease_id,
        Ending(state=JobState.COMPLETED, finished_at=queue.clock(), outputs=(output,), warnings=job.warnings),
    )
    assert done is not None
    return done


async def test_an_earlier_result_is_shared_and_each_job_has_its_own_file(queue: Queue) -> None:
    first = await completed(queue)
    second = await queue.intake.submit(img2img())
    assert (second.state, second.reused_from, second.outputs) == (JobState.COMPLETED, first.id, first.outputs)
    assert queue.spool() == sorted(f"{job.id}/input/init_image_0.png" for job in (first, second))
    await queue.service.remove(first.id, ANYONE)
    assert (queue.files.output_folder(second.id) / "image_0.png").read_bytes() == b"png"


async def test_what_was_told_of_an_earlier_request_is_not_told_again(queue: Queue) -> None:
    await completed(queue, warnings=("the sampler 'FOO' is not known",))
    second = await queue.intake.submit(img2img(warnings=("the sampler 'BAR' is not known",)))
    assert second.reused_from
    assert second.warnings == ("the sampler 'BAR' is not known",)


async def test_an_earlier_result_whose_file_is_not_whole_is_made_again(queue: Queue) -> None:
    first = await completed(queue, content=b"pn")
    second = await queue.intake.submit(img2img())
    assert second.state is JobState.PENDING
    assert not queue.files.output_folder(second.id).exists()
    assert first.id != second.id


@pytest.mark.parametrize("job_type", [JobType.CONVERT, JobType.DOWNLOAD, JobType.LOAD, JobType.LOAD_TEST])
async def test_work_on_models_needs_its_permission_the_second_time_too(queue: Queue, job_type: JobType) -> None:
    with pytest.raises(Forbidden, match="manage_models"):
        await queue.intake.submit_task(job_type, {}, ANN)
    job = await queue.intake.submit_task(job_type, {}, MANAGER)
    await queue.service.cancel(job.id, MANAGER)
    demoted = Principal("mia", Role.USER, frozenset({Permission.GENERATE}), "jwt")
    with pytest.raises(Forbidden, match="manage_models"):
        await queue.intake.retry(job.id, demoted)
    assert (await queue.intake.retry(job.id, MANAGER)).state is JobState.PENDING


async def test_a_retry_is_bound_by_the_allowance_and_copies_nothing_when_refused(queue: Queue) -> None:
    large = GenerationParameters(prompt="a", width=1024, height=1024)
    job = await queue.store.add(
        Job(id="large", type=JobType.TXT2IMG, principal="ann", created_at=queue.clock(), parameters=to_json(large)),
        max_pending=9,
    )
    await queue.service.cancel(job.id, ANN)
    with pytest.raises(Forbidden):
        await queue.intake.retry(job.id, ANN)
    small = await queue.intake.submit(img2img(ANN))
    await queue.service.cancel(small.id, ANN)
    for _ in range(2):
        await queue.submit(principal=ANN)
    for _ in range(3):
        with pytest.raises(QueueFull):
            await queue.intake.retry(small.id, ANN)
    assert queue.spool() == [f"{small.id}/input/init_image_0.png"]


async def test_a_retry_keeps_no_priority_that_its_caller_could_not_give(queue: Queue) -> None:
    job = await queue.submit(principal=ANN)
    await queue.service.prioritise(job.id, 9, ANYONE)
    await queue.service.cancel(job.id, ANN)
    assert (await queue.intake.retry(job.id, ANN)).priority == 0
    assert (await queue.intake.retry(job.id, ANYONE)).priority == 9


async def test_whoever_is_cancelled_while_a_job_is_stored_leaves_it_to_be_told(queue: Queue) -> None:
    held, add = asyncio.Event(), queue.store.add
    told = queue.broadcast.changes

    async def slow(job: Job, **bounds: Any) -> Job:
        await held.wait()
        return await add(job, **bounds)

    queue.store.add = slow  # type: ignore[method-assign]
    caller = asyncio.create_task(queue.intake.submit(img2img()))
    await asyncio.sleep(0.05)
    caller.cancel()
    await asyncio.wait({caller})
    assert caller.cancelled()
    assert not told
    held.set()
    while not told:
        await asyncio.sleep(0.01)
    assert [(job.id, None, JobState.PENDING) for job in await queue.store.find(JobFilter())] == told
