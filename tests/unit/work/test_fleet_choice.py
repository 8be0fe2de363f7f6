"""Which worker gets a job."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.errors import (
    InsufficientMemory,
)
from sdrest.core.events import JobChanged
from sdrest.core.job import Job, JobState
from sdrest.core.principal import ANYONE
from sdrest.work import worker_frames as frames
from tests.unit.work.fleet_server import Elsewhere, Server


class TestWhoCanCarryOut:
    """Jobs go to workers that have the model and the memory; what nobody can carry out says so, and waits."""

    @pytest.fixture
    async def worker(self) -> None:
        """None is there by itself."""

    @asynccontextmanager
    async def working(self, server: Server, folder: Path, name: str, **what: Any) -> AsyncIterator[Elsewhere]:
        worker = Elsewhere(server, folder / name, name, **what)
        while not any(card.name == name and card.models == len(worker.ids) for card in server.roster.workers):
            await asyncio.sleep(0)
        yield worker
        await worker.end()

    async def done(self, worker: Elsewhere) -> Job:
        """The job that a worker carries out next."""
        attempt = await worker.executor.attempts.get()
        worker.executor.endings.put_nowait(None)
        return attempt.job

    async def test_a_worker_takes_jobs_for_the_models_that_it_has_first(self, server: Server, tmp_path: Path) -> None:
        await server.service.set_paused(True, ANYONE)
        async with self.working(server, tmp_path, "a", models=["m"]) as worker:
            others = [await server.add(model_id="other") for _ in range(2)]
            own = await server.add(model_id=worker.ids["m"])
            await server.service.set_paused(False, ANYONE)
            assert [(await self.done(worker)).id for _ in range(3)] == [own.id, *(job.id for job in others)]

    async def test_a_model_is_known_by_its_content_whatever_it_is_called(self, server: Server, tmp_path: Path) -> None:
        file = tmp_path / "server" / "models" / "vae" / "renamed.safetensors"
        file.parent.mkdir(parents=True)
        file.write_text("m")
        server.registry.refresh()
        (model,) = server.registry.catalogue.models
        async with self.working(server, tmp_path, "a", models=["m", "n"], fetches=False) as worker:
            while model.id not in server.roster.workers[0].at_hand:
                await asyncio.sleep(0)
            worker.agent.loaded("engine", [worker.ids["m"]])
            while not server.roster.workers[0].engines[0].loaded:
                await asyncio.sleep(0)
            assert {*server.roster.workers[0].engines[0].loaded} == {model.id, worker.ids["m"]}
            job = await server.add(model_id=model.id)
            assert (await self.done(worker)).id == job.id

    async def test_what_nobody_may_get_waits_for_a_worker_that_has_it(self, server: Server, tmp_path: Path) -> None:
        job = await server.add(model_id="rare", model_name="Rare")
        assert "no worker is connected" in server.roster.problem_of(job)
        async with self.working(server, tmp_path, "a", fetches=False) as without:
            assert "has the model Rare" in server.roster.problem_of(job)
            async with self.working(server, tmp_path, "b") as gets_it:
                assert server.roster.problem_of(job) == ""
                assert (await self.done(gets_it)).id == job.id
            assert without.executor.attempts.empty()

    async def test_a_worker_that_may_not_get_a_part_puts_the_job_back(self, server: Server, tmp_path: Path) -> None:
        server.needed = (frames.Needed("lora", "content", "loras", "loras/rare.safetensors", 1),)
        async with self.working(server, tmp_path, "a", models=["m"], fetches=False) as worker:
            job = await server.add(model_id=worker.ids["m"])
            await server.hears(lambda event: isinstance(event, JobChanged) and event.previous is JobState.RUNNING)
            found = await server.service.get(job.id, ANYONE)
            assert (found.state, found.attempt) == (JobState.PENDING, 0)
            assert found.warnings == ("a has not got loras/rare.safetensors and may not get it",)
            assert "all that it needs" in server.roster.problem_of(found)

    async def test_what_is_too_large_waits_for_a_larger_worker(self, server: Server, tmp_path: Path) -> None:
        async with self.working(server, tmp_path, "small", budget_bytes=8 << 20) as small:
            job = await server.add(memory_bytes=12 << 20)
            assert "about 12 MiB" in (problem := server.roster.problem_of(job))
            assert "more than 8 MiB" in problem
            async with self.working(server, tmp_path, "large", budget_bytes=16 << 20) as large:
                assert server.roster.problem_of(job) == ""
                assert (await self.done(large)).id == job.id
            assert small.executor.attempts.empty()

    async def test_a_refusal_for_memory_is_tried_on_each_larger_worker_once(
        self, server: Server, tmp_path: Path
    ) -> None:
        job = await server.add()
        tried = []
        async with contextlib.AsyncExitStack() as stack:
            workers = []
            for name, mib in (("small", 8), ("middle", 12), ("large", 16)):
                working = self.working(server, tmp_path, name, budget_bytes=mib << 20)
                workers.append(await stack.enter_async_context(working))
                if name == "small":
                    await workers[0].executor.attempts.get()
            tried.append("small")
            workers[0].executor.endings.put_nowait(InsufficientMemory("no room"))
            while not (await server.service.get(job.id, ANYONE)).is_finished:
                waiting = {asyncio.create_task(worker.executor.attempts.get()): worker for worker in workers}
                ended = asyncio.create_task(server.ended(job))
                done, _ = await asyncio.wait({*waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {ended}:
                    tried.append(waiting[task].folder.name)  # type: ignore[index]
                    waiting[task].executor.endings.put_nowait(InsufficientMemory("no room"))  # type: ignore[index]
                for task in {*waiting, ended}:
                    task.cancel()
        found = await server.service.get(job.id, ANYONE)
        assert found.failure is not None
        assert (found.failure.slug, found.failure.message) == ("insufficient_memory", "no room")
        assert len(tried) == len({*tried})
        assert tried[-1] == "large"
        assert [warning.partition(" has")[0] for warning in found.warnings] == [f"{name}/engine" for name in tried[:-1]]

    async def test_a_full_disk_of_a_worker_is_tried_elsewhere_and_told_where_there_is_nobody_else(
        self, server: Server, tmp_path: Path
    ) -> None:
        full = OSError(errno.ENOSPC, "no space left on device")
        async with self.working(server, tmp_path, "a") as first:
            job = await server.add()
            await first.executor.attempts.get()
            async with self.working(server, tmp_path, "b") as second:
                first.executor.endings.put_nowait(full)
                assert (await self.done(second)).id == job.id
                ended = await server.ended(job)
            assert ended.state is JobState.COMPLETED
            assert ended.warnings[0] == "a: the worker's disk is full: there is no room for the job's files"
            other = await server.add()
            await first.executor.attempts.get()
            first.executor.endings.put_nowait(full)
            ended = await server.ended(other)
        assert ended.failure is not None
        assert ended.failure.slug == "insufficient_storage"
