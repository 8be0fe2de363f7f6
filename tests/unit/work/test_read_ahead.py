"""The next model is read while the job before it computes: once, and only what is not there and can stay."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdrest.core.errors import ModelNotFound
from sdrest.core.events import JobChanged, JobProgressed
from sdrest.core.job import Job, JobState, JobType, Phase, Progress
from sdrest.jobs.events import Broadcast
from sdrest.work import read_ahead
from sdrest.work.read_ahead import ReadAhead, into_page_cache
from tests.memory.jobs import MemoryJobStore


class Queue:
    """Jobs by the names of their models, whose files have those names; ``read`` are those that were read."""

    def __init__(self, folder: Path, loaded: set[str]) -> None:
        self.store = MemoryJobStore()
        self.read: list[str] = []
        self.now = 0.0
        self._folder = folder
        types = (JobType.TXT2IMG, JobType.UPSCALE)
        self.ahead = ReadAhead(self.store, Broadcast(), types, lambda: loaded, self._files_of, lambda: self.now)

    def _files_of(self, job: Job) -> Iterable[Path]:
        if job.model_id == "gone":
            raise ModelNotFound("it has gone")
        file = self._folder / job.model_id
        file.write_bytes(b"weights")
        return [file, file]

    def note(self, file: Path) -> None:
        assert file.read_bytes() == b"weights"
        self.read.append(file.name)

    async def wait(self, model: str, job_type: JobType = JobType.TXT2IMG) -> Job:
        job = Job(id=str(uuid.uuid4()), type=job_type, model_id=model, model_name=model, created_at=datetime.now(UTC))
        await self.store.add(job, max_pending=100)
        await self.ahead._heard(JobChanged(job, None))
        return job

    async def sample(self, job_id: str, *, seconds: float = 2.0) -> None:
        """Two more steps of a job."""
        for step in (1, 2):
            progress = Progress(phase=Phase.SAMPLE, step=step, steps=2, image=1, images=1)
            await self.ahead._heard(JobProgressed(job_id, "", progress))
            self.now += seconds


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    queue = Queue(tmp_path, {"loaded"})
    monkeypatch.setattr(read_ahead, "into_page_cache", queue.note)
    return queue


async def test_the_oldest_model_that_is_not_there_is_read_once(queue: Queue) -> None:
    for model in ("loaded", "second", "third", "second"):
        await queue.wait(model)
    assert queue.read == []  # nothing computes: what comes next reads its model itself
    await queue.sample("a", seconds=0.1)
    assert queue.read == []  # nor is it worth its while
    for job_id in ("b", "c"):
        await queue.sample(job_id)
    assert queue.read == ["second"]


async def test_a_job_that_comes_while_another_one_computes_is_seen(queue: Queue) -> None:
    await queue.sample("a")
    await queue.wait("second")
    assert queue.read == []
    await queue.sample("a")
    assert queue.read == ["second"]


async def test_a_job_that_begins_anew_computes_from_then_on(queue: Queue) -> None:
    await queue.sample("a", seconds=0.9)
    job = await queue.wait("second")
    again = replace(job, id="a", state=JobState.PENDING)
    await queue.ahead._heard(JobChanged(again, JobState.RUNNING))
    await queue.sample("a", seconds=0.9)
    assert queue.read == []


async def test_other_work_and_what_cannot_be_read_are_passed_over(queue: Queue) -> None:
    await queue.wait("converted", JobType.CONVERT)
    await queue.wait("gone")
    await queue.sample("a")
    assert queue.read == []


async def test_what_would_push_out_what_is_at_work_is_not_read(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", type("Memory", (), {"available": 10}))
    await queue.wait("second")
    await queue.sample("a")
    assert queue.read == []


def test_a_file_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"x" * 10000)
    into_page_cache(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"x" * 10000
