"""Deleting what is old, the oldest first, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sdrest.core.errors import NotFound, Unavailable
from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.jobs.bin import Bin
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.retention import Keep, Retention
from sdrest.jobs.store import Ending
from tests.unit.jobs.conftest import Queue


async def ended(queue: Queue, name: str, size: int = 0) -> Job:
    await queue.store.add(Job(id=name, type=JobType.TXT2IMG, created_at=queue.clock()), max_pending=1000)
    job = await queue.claimed()
    outputs = (Output(file="image_0.png", media_type="image/png", size_bytes=size),) if size else ()
    if size:
        queue.files.output_folder(name).mkdir(parents=True)
        (queue.files.output_folder(name) / "image_0.png").write_bytes(b"x" * size)
    ending = Ending(state=JobState.COMPLETED, finished_at=queue.clock(), outputs=outputs)
    done = await queue.store.finish(name, job.lease_id, ending)
    assert done is not None
    return done


async def left(queue: Queue) -> list[str]:
    return [job.id for job in await queue.store.find(JobFilter(newest_first=False, limit=1000))]


def retention(queue: Queue, **keep: float) -> Retention:
    return Retention(queue.service, Keep(**keep), Bin(queue.service, days=2, clock=queue.clock), clock=queue.clock)  # type: ignore[arg-type]


async def test_without_a_bound_all_stays(queue: Queue) -> None:
    await ended(queue, "a", 5)
    assert await retention(queue).sweep() == 0


async def test_by_number(queue: Queue) -> None:
    for name in "abcde":
        await ended(queue, name)
    await queue.submit()
    assert await retention(queue, jobs=2).sweep() == 3
    assert (await left(queue))[:2] == ["d", "e"]
    assert len(await left(queue)) == 3


async def test_by_age_of_the_ending_not_of_the_request(queue: Queue) -> None:
    await queue.store.add(Job(id="slow", type=JobType.TXT2IMG, priority=-1, created_at=queue.clock()), max_pending=1000)
    await ended(queue, "quick")
    queue.clock.now += timedelta(days=2)
    job = await queue.claimed()
    await queue.store.finish("slow", job.lease_id, Ending(state=JobState.FAILED, finished_at=queue.clock()))
    assert await retention(queue, days=1).sweep() == 1
    assert await left(queue) == ["slow"]


async def test_by_size_past_jobs_without_files(queue: Queue) -> None:
    for number in range(150):
        await ended(queue, f"empty-{number}")
    for name in ("a", "b", "c"):
        await ended(queue, name, 10)
    assert await retention(queue, size_bytes=15).sweep() == 2
    assert (await left(queue))[150:] == ["c"]
    assert [path.name for path in (queue.folder / "output").iterdir()] == ["c"]


async def test_what_runs_counts_and_stays(queue: Queue) -> None:
    await queue.store.add(Job(id="running", type=JobType.TXT2IMG, created_at=queue.clock()), max_pending=1000)
    job = await queue.claimed()
    await queue.store.note_output(
        job.id, job.lease_id, Output(file="image_0.png", media_type="image/png", size_bytes=100)
    )
    await ended(queue, "a", 10)
    assert await retention(queue, size_bytes=50).sweep() == 1
    assert await left(queue) == ["running"]


async def test_a_store_that_refuses_ends_the_sweep_and_keeps_the_files(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        await ended(queue, name, 10)
    asked: list[str] = []

    async def refuse(job_id: str) -> bool:
        asked.append(job_id)
        raise Unavailable

    monkeypatch.setattr(queue.store, "remove", refuse)
    with pytest.raises(Unavailable):
        await retention(queue, jobs=1).sweep()
    assert asked == ["a"]
    assert sorted(path.name for path in (queue.folder / "output").iterdir()) == ["a", "b"]


async def test_a_job_that_somebody_else_deleted_is_not_counted(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        await ended(queue, name)
    get = queue.service.get

    async def gone_meanwhile(job_id: str, *args: object) -> Job:
        if job_id == "a":
            await queue.store.remove("a")
            raise NotFound
        return await get(job_id, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(queue.service, "get", gone_meanwhile)
    assert await retention(queue, jobs=1).sweep() == 1
    assert await left(queue) == ["c"]
