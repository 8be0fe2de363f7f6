"""A server and a worker elsewhere: connections break, workers go and come back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from sdrest.core.errors import (
    GenerationFailed,
    NotFound,
)
from sdrest.core.events import JobPreviewed, JobProgressed
from sdrest.core.job import JobState, Output, Phase, Progress
from sdrest.core.principal import ANYONE
from sdrest.work import worker_frames as frames
from tests.unit.work.fleet_server import Elsewhere, Server


async def test_a_job_is_carried_out_elsewhere_and_its_files_are_here(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    attempt = await worker.executor.attempts.get()
    attempt.reached(Progress(phase=Phase.SAMPLE, step=2, steps=4, fraction=0.5))
    assert (await server.hears(lambda event: isinstance(event, JobProgressed))).progress.step == 2
    attempt.publish(JobPreviewed(job.id, "", 2, 8, 8, b"jpeg"))
    assert (await server.hears(lambda event: isinstance(event, JobPreviewed))).jpeg == b"jpeg"
    await worker.executor.make(attempt)
    worker.executor.endings.put_nowait(None)
    done = await server.ended(job)
    assert (done.state, done.seconds, done.warnings) == (JobState.COMPLETED, 1.5, ("well",))
    assert (server.files.output_folder(job.id) / "image_0.png").read_bytes() == done.lease_id.encode()
    second = await server.submit()  # by then, nothing of the first one is left at the worker
    await worker.executor.attempts.get()
    while worker.files.output_folder(job.id).exists():
        await asyncio.sleep(0)
    worker.executor.endings.put_nowait(GenerationFailed("no"))
    failed = await server.ended(second)
    assert failed.failure is not None
    assert (failed.failure.slug, failed.failure.message) == ("generation_failed", "no")
    (seen,) = server.fleet.workers
    assert (seen.jobs_done, seen.pictures_made) == (1, 1)


async def test_a_cancel_a_look_and_a_skip_reach_the_worker(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    await worker.executor.attempts.get()
    server.service.watch(await server.service.get(job.id, ANYONE))
    await worker.executor.watched.wait()
    server.service.skip(await server.service.get(job.id, ANYONE), 2)
    assert await worker.executor.skipped.get() == 2
    await server.service.cancel(job.id, ANYONE)
    assert (await server.ended(job)).state is JobState.CANCELLED


async def test_a_connection_that_breaks_costs_nothing(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    attempt = await worker.executor.attempts.get()
    server.break_off(for_long=True)
    await worker.executor.make(attempt)  # what it says now nobody hears
    worker.executor.endings.put_nowait(None)
    server.is_reachable.set()
    done = await server.ended(job)
    assert (done.state, done.attempt) == (JobState.COMPLETED, 1)
    assert [output.file for output in done.outputs] == ["image_0.png"]


async def test_a_cancel_while_the_connection_is_away_counts_when_it_is_back(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    await worker.executor.attempts.get()
    server.break_off(for_long=True)
    await server.service.cancel(job.id, ANYONE)
    server.is_reachable.set()
    assert (await server.ended(job)).state is JobState.CANCELLED


async def test_a_worker_that_does_not_come_back_loses_its_job_to_another(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", grace_seconds=0)
    first = Elsewhere(server, tmp_path / "first", "first")
    job = await server.submit()
    stale = await first.executor.attempts.get()
    await first.end()
    second = Elsewhere(server, tmp_path / "second", "second")
    attempt = await second.executor.attempts.get()
    assert attempt.job.id == job.id
    assert attempt.job.lease_id != stale.job.lease_id
    await first.executor.make(stale)  # as if it had only stood still
    assert stale.is_lost
    second.executor.endings.put_nowait(None)
    done = await server.ended(job)
    assert (done.state, done.outputs) == (JobState.COMPLETED, ())
    await second.end()
    await server.fleet.close()


async def test_a_job_under_which_every_worker_dies_is_not_given_to_all_of_them(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", grace_seconds=0)
    job = await server.submit()
    for number in range(2):
        worker = Elsewhere(server, tmp_path / str(number))
        await worker.executor.attempts.get()
        await worker.end()
    failed = await server.ended(job)
    assert failed.failure is not None
    assert "has gone" in failed.failure.message
    await server.fleet.close()


async def test_a_worker_that_is_drained_finishes_its_job_and_gets_no_other(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    await worker.executor.attempts.get()
    server.fleet.drain("w")
    other = await server.submit()
    worker.executor.endings.put_nowait(None)
    assert (await server.ended(job)).state is JobState.COMPLETED
    await worker.task  # it has left
    assert (await server.service.get(other.id, ANYONE)).state is JobState.PENDING
    with pytest.raises(NotFound):
        server.fleet.drain("nobody")


async def test_a_worker_with_nothing_to_do_leaves(server: Server, tmp_path: Path) -> None:
    worker = Elsewhere(server, tmp_path / "worker")
    await worker.end()
    worker.agent._idle_exit_seconds = 0.01
    await worker.agent.run()


async def test_a_worker_cannot_name_files_elsewhere(server: Server, worker: Elsewhere) -> None:
    job = await server.submit()
    attempt = await worker.executor.attempts.get()
    (seen,) = server.fleet.workers
    output = Output(file="../../x.png", media_type="image/png", size_bytes=1)
    await seen.heard(frames.Made(attempt.job.lease_id, output))
    assert (await server.ended(job)).state is JobState.FAILED


async def test_what_was_taken_from_a_worker_meanwhile_is_given_up(server: Server, worker: Elsewhere) -> None:
    await server.submit()
    attempt = await worker.executor.attempts.get()
    server.break_off(for_long=True)
    await server.store.recover(server.service.clock() + timedelta(hours=1), 10)
    server.service.running.wake_workers()
    server.is_reachable.set()
    again = await worker.executor.attempts.get()  # under another lease, by the same worker
    assert attempt.is_lost
    assert again.job.lease_id != attempt.job.lease_id
    worker.executor.endings.put_nowait(None)
    await server.ended(again.job)
