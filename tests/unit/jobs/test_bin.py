"""Files are thrown away, put back, and removed for good."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sdrest.core.errors import Conflict, NotFound
from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.core.principal import ANYONE
from sdrest.jobs.bin import Bin
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.marks import FileId
from sdrest.jobs.retention import Keep, Retention
from sdrest.jobs.store import Ending
from tests.unit.jobs.conftest import ANN, BOB, Queue

ZERO, ONE = "image_0.png", "image_1.png"


async def ended(queue: Queue, name: str, *files: str, principal: str = "") -> Job:
    """A job with these files of ten bytes each."""
    await queue.store.add(
        Job(id=name, type=JobType.TXT2IMG, principal=principal, created_at=queue.clock()), max_pending=1000
    )
    job = await queue.claimed()
    folder = queue.files.output_folder(name)
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_bytes(b"x" * 10)
    outputs = tuple(Output(file=file, media_type="image/png", size_bytes=10) for file in files)
    ending = Ending(state=JobState.COMPLETED, finished_at=queue.clock(), outputs=outputs)
    done = await queue.store.finish(name, job.lease_id, ending)
    assert done is not None
    return done


def files_of(queue: Queue) -> set[str]:
    folder: Path = queue.folder / "output"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.png")}


def bin_of(queue: Queue, days: float = 2) -> Bin:
    return Bin(queue.service, days=days, clock=queue.clock)


async def test_what_was_thrown_away_can_be_put_back_where_it_was(queue: Queue) -> None:
    before = await ended(queue, "a", ZERO, ONE)
    the_bin = bin_of(queue)
    await the_bin.throw_away([FileId("a", ZERO)], ANYONE)
    job = await queue.service.get("a", ANYONE)
    assert [output.file for output in job.outputs] == [ONE]
    assert files_of(queue) == {"a/image_0.png", "a/image_1.png"}
    await the_bin.put_back([FileId("a", ZERO)], ANYONE)
    assert await queue.service.get("a", ANYONE) == before


async def test_it_goes_for_good_after_its_days_and_the_job_with_its_last_file(queue: Queue) -> None:
    await ended(queue, "a", ZERO, ONE)
    await ended(queue, "b", ZERO)
    retention = Retention(queue.service, Keep(), bin_of(queue), clock=queue.clock)
    await bin_of(queue).throw_away([FileId("a", ZERO), FileId("b", ZERO)], ANYONE)
    queue.clock.now += timedelta(days=1)
    await retention.sweep()
    assert len(files_of(queue)) == 3
    await bin_of(queue).throw_away([FileId("a", ONE)], ANYONE)
    queue.clock.now += timedelta(days=1)
    await retention.sweep()
    assert files_of(queue) == {"a/image_1.png"}
    assert [job.id for job in await queue.store.find(JobFilter())] == ["a"]
    queue.clock.now += timedelta(days=1)
    await retention.sweep()
    assert await queue.store.find(JobFilter()) == []
    assert not queue.files.output_folder("a").exists()


async def test_without_days_it_goes_at_once(queue: Queue) -> None:
    await ended(queue, "a", ZERO, ONE)
    await bin_of(queue, 0).throw_away([FileId("a", ZERO)], ANYONE)
    assert files_of(queue) == {"a/image_1.png"}
    await bin_of(queue, 0).throw_away([FileId("a", ONE)], ANYONE)
    assert await queue.store.find(JobFilter()) == []


async def test_when_space_is_short_the_bin_goes_first_and_only_as_much_as_needed(queue: Queue) -> None:
    for name in "abc":
        await ended(queue, name, ZERO)
    await bin_of(queue).throw_away([FileId("b", ZERO), FileId("c", ZERO)], ANYONE)
    await Retention(queue.service, Keep(size_bytes=25), bin_of(queue), clock=queue.clock).sweep()
    assert files_of(queue) == {"a/image_0.png", "c/image_0.png"}
    await Retention(queue.service, Keep(size_bytes=5), bin_of(queue), clock=queue.clock).sweep()
    assert files_of(queue) == set()


async def test_nothing_is_changed_when_one_file_is_not_there_or_not_ones_own(queue: Queue) -> None:
    await ended(queue, "a", ZERO, ONE, principal="ann")
    await queue.submit(principal=ANN)
    running = (await queue.store.find(JobFilter(states=(JobState.PENDING,))))[0]
    the_bin = bin_of(queue)
    mine = FileId("a", ZERO)
    for other, principal, error in (
        (FileId("a", "image_9.png"), ANN, NotFound),
        (FileId("nowhere", ZERO), ANN, NotFound),
        (FileId(running.id, ZERO), ANN, Conflict),
        (FileId("a", ONE), BOB, NotFound),
    ):
        with pytest.raises(error):
            await the_bin.throw_away([mine, other], principal)
    with pytest.raises(NotFound):
        await the_bin.put_back([mine], ANN)
    assert len((await queue.service.get("a", ANN)).outputs) == 2
    await the_bin.throw_away([mine], ANN)
    with pytest.raises(NotFound):
        await the_bin.remove([mine], BOB)
    with pytest.raises(NotFound):
        await the_bin.throw_away([mine], ANN)


async def test_emptying_takes_ones_own(queue: Queue) -> None:
    await ended(queue, "a", ZERO, ONE, principal="ann")
    await ended(queue, "b", ZERO, principal="bob")
    the_bin = bin_of(queue)
    await the_bin.throw_away([FileId("a", ZERO), FileId("a", ONE), FileId("b", ZERO)], ANYONE)
    assert await the_bin.empty(ANN) == 2
    assert files_of(queue) == {"b/image_0.png"}
    await the_bin.remove([FileId("b", ZERO)], BOB)
    assert files_of(queue) == set()


async def test_a_job_that_lacks_a_picture_answers_no_later_request(queue: Queue) -> None:
    await queue.store.add(Job(id="a", type=JobType.TXT2IMG, created_at=queue.clock(), result_key="r"), max_pending=9)
    job = await queue.claimed()
    outputs = (Output(file=ZERO, media_type="image/png", size_bytes=1),)
    await queue.store.finish(
        "a", job.lease_id, Ending(state=JobState.COMPLETED, finished_at=queue.clock(), outputs=outputs)
    )
    assert await queue.store.by_result("", "r") is not None
    await bin_of(queue).throw_away([FileId("a", ZERO)], ANYONE)
    assert await queue.store.by_result("", "r") is None
