"""Workers of several servers on one queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from sdrest.core.errors import (
    NotFound,
)
from sdrest.core.events import JobProgressed
from sdrest.core.job import JobState, Phase, Progress
from sdrest.core.principal import ANYONE
from sdrest.work.roster import EngineCard, WorkerCard
from tests.needs import needs
from tests.postgres import open_database
from tests.unit.work.fleet_server import Between, Elsewhere, Server


@needs("postgres")
class TestOneList:
    """Servers on one PostgreSQL know of each other's workers."""

    @pytest.fixture
    async def both(self, postgres_url: str, tmp_path: Path) -> AsyncIterator[list[Server]]:
        from sdrest.storage.postgres.board import PostgresBoard

        database = open_database(postgres_url)
        await database.open()
        servers = [
            Server(tmp_path / "shared", name=name, board=PostgresBoard(database, lambda name=name: name))  # type: ignore[misc]
            for name in ("east", "west")
        ]
        for server in servers:
            server.roster.loop.start()
        yield servers
        for server in servers:
            await server.roster.loop.stop()
            await server.fleet.close()
        await database.close()

    async def seen(self, server: Server, is_wanted: Callable[[Sequence[WorkerCard]], bool]) -> Sequence[WorkerCard]:
        """The list of a server when it is as wanted."""
        while True:
            await server.roster.look()
            if is_wanted(server.roster.workers):
                return server.roster.workers
            await asyncio.sleep(0.02)

    async def test_a_worker_is_in_the_list_of_all_and_drained_from_anywhere(
        self, both: list[Server], tmp_path: Path
    ) -> None:
        east, west = both
        worker = Elsewhere(east, tmp_path / "worker", budget_bytes=5 << 20)
        (card,) = await self.seen(west, lambda cards: any(card.takes_jobs for card in cards))
        assert (card.name, card.server, card.state, card.engines) == (
            "w",
            "east",
            "waiting",
            (EngineCard("engine", budget_bytes=5 << 20),),
        )
        assert west.roster.largest_bytes() == 5 << 20
        job = await east.submit()
        await worker.executor.attempts.get()
        (card,) = await self.seen(west, lambda cards: cards[0].state == "working")
        assert card.engines[0].job_id == job.id
        drained = await west.roster.drain("w")
        assert (drained.state, west.wishes) == ("leaving", 1)
        await east.roster.look()  # as it does when it hears of the wish
        worker.executor.endings.put_nowait(None)
        await worker.task  # it has left
        assert (await east.ended(job)).state is JobState.COMPLETED
        await self.seen(west, lambda cards: not cards)
        with pytest.raises(NotFound):
            await west.roster.drain("w")

    async def test_a_worker_that_has_moved_is_in_the_list_once(self, both: list[Server], tmp_path: Path) -> None:
        east, west = both
        between = Between(east)
        worker = Elsewhere(between, tmp_path / "worker")
        await self.seen(west, bool)
        between.server = west
        east.break_off()
        await self.seen(east, lambda cards: [card.server for card in cards if card.takes_jobs] == ["west"])
        await self.seen(west, lambda cards: [card.server for card in cards] == ["west"])
        await worker.end()


class TestSeveralServers:
    """East and west share the queue and the folders; a worker comes from one to the other."""

    @pytest.fixture
    async def east(self, tmp_path: Path) -> AsyncIterator[Server]:
        server = Server(tmp_path / "shared", name="east")
        yield server
        await server.fleet.close()

    @pytest.fixture
    async def west(self, east: Server, tmp_path: Path) -> AsyncIterator[Server]:
        server = Server(tmp_path / "shared", store=east.store, name="west")
        yield server
        await server.fleet.close()

    @pytest.fixture
    async def worker(self, east: Server, tmp_path: Path) -> AsyncIterator[Elsewhere]:
        self.between = Between(east)
        worker = Elsewhere(self.between, tmp_path / "worker")
        yield worker
        await worker.end()

    def go_to(self, server: Server) -> None:
        """The connection breaks, and the next one is to that server."""
        before, self.between.server = self.between.server, server
        before.break_off()

    async def test_an_attempt_goes_on_at_another_server(self, east: Server, west: Server, worker: Elsewhere) -> None:
        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        await worker.executor.make(attempt, "image_0.png")
        self.go_to(west)  # and nothing is heard of east
        attempt.reached(Progress(phase=Phase.SAMPLE, step=3, steps=4, fraction=0.7))
        assert (await west.hears(lambda event: isinstance(event, JobProgressed))).progress.step == 3
        west.service.watch(await west.service.get(job.id, ANYONE))
        await worker.executor.watched.wait()
        await east.leases.look()  # it was only cut off: it sees that the lease is not its own any more
        await worker.executor.make(attempt, "image_1.png")
        worker.executor.endings.put_nowait(None)
        done = await west.ended(job)
        assert (done.state, done.attempt, done.lease_id) == (JobState.COMPLETED, 1, attempt.job.lease_id)
        made = {file.name for file in west.files.output_folder(job.id).iterdir()}
        assert made == {"image_0.png", "image_1.png"} == {output.file for output in done.outputs}
        second = await west.submit()  # the engine gets the next job
        await worker.executor.attempts.get()
        worker.executor.endings.put_nowait(None)
        assert (await west.ended(second)).state is JobState.COMPLETED
        assert worker.agent._held.keys() <= {(await west.service.get(second.id, ANYONE)).lease_id}

    @pytest.mark.parametrize("is_told", [True, False])
    async def test_a_file_that_a_server_has_noted_and_lost_comes_with_the_ending(
        self, east: Server, west: Server, worker: Elsewhere, monkeypatch: pytest.MonkeyPatch, is_told: bool
    ) -> None:
        """A database that is killed forgets what it has not written yet, whether or not it has said that it was noted."""

        async def forgets(*_: object, **_more: object) -> bool:
            return is_told

        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        monkeypatch.setattr(east.store, "note_output", forgets)
        await worker.executor.make(attempt)
        (seen,), held = east.service.running.attempts, worker.agent._held[attempt.job.lease_id]
        while not seen.outputs or bool(held.unconfirmed) is is_told:
            await asyncio.sleep(0)
        monkeypatch.undo()
        self.go_to(west)
        worker.executor.endings.put_nowait(None)
        done = await west.ended(job)
        assert [output.file for output in done.outputs] == ["image_0.png"]
        assert (west.files.output_folder(job.id) / "image_0.png").read_bytes() == attempt.job.lease_id.encode()

    async def test_a_server_that_gives_its_worker_up_too_late_changes_nothing(
        self, east: Server, west: Server, worker: Elsewhere
    ) -> None:
        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        self.go_to(west)
        await west.hears(lambda event: isinstance(event, JobProgressed))
        (left,) = east.fleet.workers
        left.give_up()  # as when the time is over that a worker may be away
        await asyncio.sleep(0)
        assert not attempt.is_cancelled
        await worker.executor.make(attempt)
        worker.executor.endings.put_nowait(None)
        done = await west.ended(job)
        assert (done.state, done.attempt) == (JobState.COMPLETED, 1)
        assert (west.files.output_folder(job.id) / "image_0.png").exists()

    async def test_a_server_that_stops_leaves_the_work_to_another(
        self, east: Server, west: Server, worker: Elsewhere
    ) -> None:
        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        self.between.server = west
        await east.fleet.close()
        await east.store.recover(east.service.clock(), 10, server="east")  # as it does when it starts again
        await worker.executor.make(attempt)
        worker.executor.endings.put_nowait(None)
        done = await west.ended(job)
        assert (done.state, done.attempt, len(done.outputs)) == (JobState.COMPLETED, 1, 1)

    @pytest.mark.parametrize("before", [True, False])
    async def test_a_cancel_reaches_an_attempt_that_goes_on(
        self, east: Server, west: Server, worker: Elsewhere, before: bool
    ) -> None:
        job = await east.submit()
        await worker.executor.attempts.get()
        if before:
            await west.service.cancel(job.id, ANYONE)
        self.go_to(west)
        if not before:
            await west.hears(lambda event: isinstance(event, JobProgressed))
            await west.service.cancel(job.id, ANYONE)
        assert (await west.ended(job)).state is JobState.CANCELLED

    @pytest.mark.parametrize("noticed", [True, False])
    async def test_an_attempt_goes_there_and_back(
        self, east: Server, west: Server, worker: Elsewhere, noticed: bool
    ) -> None:
        job = await east.submit()
        attempt = await worker.executor.attempts.get()
        self.go_to(west)
        await west.hears(lambda event: isinstance(event, JobProgressed))
        if noticed:
            await east.leases.look()
        self.go_to(east)
        attempt.reached(Progress(phase=Phase.SAMPLE, step=3, steps=4, fraction=0.7))
        await east.hears(lambda event: isinstance(event, JobProgressed) and event.progress.step == 3)
        await west.leases.look()
        await worker.executor.make(attempt)
        worker.executor.endings.put_nowait(None)
        done = await east.ended(job)
        assert (done.state, done.attempt, len(done.outputs)) == (JobState.COMPLETED, 1, 1)
