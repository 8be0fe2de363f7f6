"""The job service: who may do what to which job, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest
from PIL import Image

from sdrest.core.errors import Conflict, Forbidden, NotFound, Unavailable
from sdrest.core.events import JobPreviewed, JobRemoved
from sdrest.core.job import Binned, Failure, Job, JobState, JobType, Output, Progress
from sdrest.core.parameters import GenerationParameters
from sdrest.core.principal import ANYONE, NOBODY
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.running import Attempt
from sdrest.jobs.store import Ending
from sdrest.jobs.submission import Submission
from tests.unit.jobs.conftest import ANN, BOB, Queue

PICTURE = Output(file="image_0.png", media_type="image/png", size_bytes=3)


async def ended(queue: Queue, state: JobState = JobState.COMPLETED, *, picture: bool = True) -> Job:
    """A job that has ended, with one output."""
    await queue.submit()
    job = await queue.claimed()
    if picture:
        queue.files.output_folder(job.id).mkdir(parents=True)
        (queue.files.output_folder(job.id) / PICTURE.file).write_bytes(b"png")
    outputs = (PICTURE,) if picture else ()
    done = await queue.store.finish(
        job.id, job.lease_id, Ending(state=state, finished_at=queue.clock(), outputs=outputs)
    )
    assert done is not None
    queue.service.running.changed(done, JobState.RUNNING)
    return done


async def test_others_jobs_are_as_if_they_were_not_there(queue: Queue) -> None:
    job = await queue.submit(principal=ANN)
    assert await queue.service.get(job.id, ANN) == job
    assert await queue.service.get(job.id, ANYONE) == job
    for refused in (
        queue.service.get(job.id, BOB),
        queue.service.cancel(job.id, BOB),
        queue.intake.retry(job.id, BOB),
        queue.service.remove(job.id, BOB),
        queue.service.get("nobody", ANYONE),
    ):
        with pytest.raises(NotFound):
            await refused
    assert await queue.service.find(JobFilter(), BOB) == []
    assert await queue.service.count(JobFilter(), BOB) == 0
    assert await queue.service.count(JobFilter(), ANYONE) == 1


async def test_a_pending_job_is_cancelled_at_once_a_running_one_is_asked(queue: Queue) -> None:
    first, second = await queue.submit(), await queue.submit()
    running = await queue.claimed()
    assert running.id == first.id
    asked: list[str] = []
    attempt = queue.service.running.of(running.id)
    assert attempt is not None
    attempt.on_cancel(lambda: asked.append(running.id))
    assert (await queue.service.cancel(first.id, ANYONE)).state is JobState.RUNNING
    assert asked == [first.id]
    assert (await queue.service.cancel(second.id, ANYONE)).state is JobState.CANCELLED
    with pytest.raises(Conflict):
        await queue.service.cancel(second.id, ANYONE)
    assert queue.broadcast.changes[-1] == (second.id, "pending", "cancelled")


async def test_a_cancel_that_comes_before_the_worker_has_the_job_counts(queue: Queue) -> None:
    job = await queue.submit()
    claimed = await queue.store.claim([JobType.TXT2IMG], now=queue.clock(), lease_seconds=60, worker="test")
    assert claimed is not None
    await queue.service.cancel(job.id, ANYONE)
    attempt = Attempt(claimed, queue.store, queue.broadcast, queue.files)
    queue.service.running.begin(attempt)
    assert attempt.is_cancelled


async def test_clearing_cancels_ones_own_or_all(queue: Queue) -> None:
    mine, other = await queue.submit(principal=ANN), await queue.submit(principal=BOB)
    assert await queue.service.clear_pending(ANN) == 1
    assert (await queue.service.get(mine.id, ANN)).state is JobState.CANCELLED
    assert await queue.service.clear_pending(ANYONE) == 1
    assert queue.broadcast.changes[-1] == (other.id, "pending", "cancelled")


async def test_order_and_pause_are_for_who_manages_the_queue(queue: Queue) -> None:
    job = await queue.submit(principal=ANN)
    with pytest.raises(Forbidden):
        await queue.service.prioritise(job.id, 1, ANN)
    with pytest.raises(Forbidden):
        await queue.service.set_paused(True, ANN)
    assert (await queue.service.prioritise(job.id, 1, ANYONE)).priority == 1
    assert queue.broadcast.changes[-1] == (job.id, JobState.PENDING, JobState.PENDING)
    await queue.claimed()
    with pytest.raises(Conflict, match="the job is running, not pending") as caught:
        await queue.service.prioritise(job.id, 2, ANYONE)
    assert caught.value.details == {"state": "running"}


async def test_who_may_not_look_counts_nothing(queue: Queue) -> None:
    await queue.submit(principal=ANN)
    await queue.submit(principal=BOB)
    counted = [(await queue.service.counts(whom))[JobState.PENDING] for whom in (ANYONE, ANN, BOB, NOBODY)]
    assert counted == [2, 1, 1, 0]
    assert (await queue.service.counts(NOBODY)).keys() == {*JobState}


async def test_a_pause_survives_a_restart(queue: Queue) -> None:
    await queue.service.set_paused(True, ANYONE)
    await queue.service.restore()
    assert await queue.service.is_paused()


async def test_workers_are_woken_for_their_own_jobs(queue: Queue) -> None:
    running = queue.service.running
    pictures, hashes = running.new_waker([JobType.TXT2IMG]), running.new_waker([JobType.HASH])
    await queue.submit()
    assert pictures.is_set
    assert not hashes.is_set
    await queue.service.set_paused(False, ANYONE)
    assert hashes.is_set


async def test_waiting_ends_with_the_job_or_with_the_time(queue: Queue) -> None:
    job = await queue.submit()
    assert (await queue.service.wait(job.id, ANYONE, timeout_seconds=0)).state is JobState.PENDING
    waiting = asyncio.create_task(queue.service.wait(job.id, ANYONE))
    while not len(queue.broadcast):
        await asyncio.sleep(0)
    await queue.service.cancel(job.id, ANYONE)
    assert (await waiting).state is JobState.CANCELLED
    assert (await queue.service.wait(job.id, ANYONE)).state is JobState.CANCELLED
    assert len(queue.broadcast) == 0
    with pytest.raises(NotFound):
        await queue.service.wait("nobody", ANYONE)


async def test_what_is_reported_is_there_while_the_job_runs(queue: Queue) -> None:
    await queue.submit()
    job = await queue.claimed()
    preview = JobPreviewed(job.id, "", 1, 8, 8, b"jpeg")
    attempt = queue.service.running.of(job.id)
    assert attempt is not None
    attempt.publish(preview)
    attempt.reached(Progress(step=1, steps=2, fraction=0.5))
    await attempt.made(PICTURE)
    assert queue.service.preview(job) == preview
    assert queue.service.progress(job).fraction == 0.5
    assert (await queue.service.get(job.id, ANYONE)).outputs == (PICTURE,)
    done = await queue.store.finish(job.id, job.lease_id, Ending(state=JobState.COMPLETED, finished_at=queue.clock()))
    assert done is not None
    queue.service.running.changed(done, JobState.RUNNING)
    assert queue.service.preview(done) is None
    assert queue.service.progress(done) == Progress(fraction=1.0)


async def test_deleting_takes_all_files_and_is_told(queue: Queue) -> None:
    job = await ended(queue)
    heard = queue.broadcast.subscribe(lambda event: isinstance(event, JobRemoved))
    await queue.service.remove(job.id, ANYONE)
    queue.broadcast.unsubscribe(heard)
    assert [event async for event in heard] == [JobRemoved(job.id, "")]
    assert list((queue.folder / "output").iterdir()) == []
    assert list((queue.folder / "spool").iterdir()) == []
    with pytest.raises(NotFound):
        await queue.service.remove(job.id, ANYONE)


async def test_a_job_that_has_not_ended_cannot_be_deleted(queue: Queue) -> None:
    job = await queue.submit()
    with pytest.raises(Conflict):
        await queue.service.remove(job.id, ANYONE)
    await queue.claimed()
    with pytest.raises(Conflict):
        await queue.service.remove(job.id, ANYONE)


async def test_a_job_that_the_store_keeps_keeps_its_files(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await ended(queue)

    async def refuse(_job_id: str) -> bool:
        raise Unavailable

    monkeypatch.setattr(queue.store, "remove", refuse)
    with pytest.raises(Unavailable):
        await queue.service.remove(job.id, ANYONE)
    assert (queue.files.output_folder(job.id) / PICTURE.file).read_bytes() == b"png"
    assert list((queue.folder / "spool").iterdir()) == []


async def test_a_retry_is_a_new_job_with_the_same_parameters_and_pictures(queue: Queue) -> None:
    job = await queue.intake.submit(
        Submission(
            type=JobType.IMG2IMG,
            parameters=GenerationParameters(prompt="a"),
            pictures={"init_image": [Image.new("RGB", (8, 8))]},
            principal=ANN,
            idempotency_key="key",
        )
    )
    with pytest.raises(Conflict, match="only a job that has ended can be tried again") as caught:
        await queue.intake.retry(job.id, ANN)
    assert caught.value.details == {"state": "pending"}
    await queue.service.cancel(job.id, ANN)
    again = await queue.intake.retry(job.id, ANN)
    assert (again.state, again.parameters, again.principal) == (JobState.PENDING, job.parameters, "ann")
    assert (again.cancel_requested_at, again.finished_at, again.idempotency_key) == (None, None, "")
    assert queue.spool() == sorted(f"{item.id}/input/init_image_0.png" for item in (job, again))
    await queue.service.remove(job.id, ANN)
    assert queue.spool() == [f"{again.id}/input/init_image_0.png"]


async def test_a_retry_has_nothing_of_what_became_of_the_job(queue: Queue) -> None:
    await queue.submit()
    job = await queue.claimed()
    ending = Ending(
        state=JobState.FAILED,
        finished_at=queue.clock(),
        outputs=(PICTURE,),
        failure=Failure(slug="engine_died", message="it died"),
        seconds=3.0,
    )
    await queue.store.finish(job.id, job.lease_id, ending)
    entry = queue.store.entries[job.id]
    entry.change(interruptions=2, reused_from="x", bin=(Binned(output=PICTURE, at=queue.clock()),))
    again = await queue.intake.retry(job.id, ANYONE)
    assert again.id != job.id
    assert again.created_at > job.created_at
    fresh = (again.attempt, again.lease_id, again.interruptions, again.reused_from, again.outputs, again.bin)
    assert fresh == (0, "", 0, "", (), ())
    assert (again.failure, again.seconds, again.started_at, again.finished_at) == (None, None, None, None)
    assert (again.sources, again.waits_for) == ({}, ())


async def test_a_start_removes_what_belongs_to_no_job_and_what_a_dead_attempt_left(queue: Queue) -> None:
    job = await queue.intake.submit(
        Submission(
            type=JobType.IMG2IMG,
            parameters=GenerationParameters(prompt="a"),
            pictures={"init_image": [Image.new("RGB", (8, 8))]},
        )
    )
    job = await queue.claimed()
    (queue.files.begin_attempt(job) / "0.rgb").write_bytes(b"raw")
    outputs = queue.files.output_folder(job.id)
    outputs.mkdir(parents=True)
    for name in (PICTURE.file, "image_1.png", ".image_2.png.x.part"):
        (outputs / name).write_bytes(b"png")
    queue.files.staging_folder(job).mkdir()
    (queue.files.staging_folder(job) / PICTURE.file).write_bytes(b"png")
    await queue.store.note_output(job.id, job.lease_id, PICTURE)
    lost, deleted, strange = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "mine"
    queue.files.store_inputs(lost, {"init_image": [Image.new("RGB", (8, 8))]})
    queue.files.doubt(deleted)
    for name in (deleted, "33333333-3333-4333-8333-333333333333"):
        queue.files.output_folder(name).mkdir(parents=True)
    (queue.folder / "spool" / strange).mkdir()
    await queue.service.restore()
    assert queue.spool() == [f"{job.id}/input/init_image_0.png"]
    assert {path.name for path in (queue.folder / "spool").iterdir()} == {job.id, strange}
    assert [path.name for path in outputs.iterdir()] == [PICTURE.file]
    kept = {job.id, "33333333-3333-4333-8333-333333333333"}  # of no known job, but it may be somebody's
    assert {path.name for path in (queue.folder / "output").iterdir()} == kept
