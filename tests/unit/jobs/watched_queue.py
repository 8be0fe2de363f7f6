"""The queue as random steps drive it: one life of a server after another, and what must hold whatever happens."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from sdrest.core.errors import (
    Cancelled,
)
from sdrest.core.job import TERMINAL_STATES, Job, JobState, JobType
from sdrest.core.principal import ANYONE
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from tests.unit.jobs.queue_server import Clock, QueueServer, content_of

T = TypeVar("T")

#: Transitions as the architecture draws them; a job may also be stored as complete.
ALLOWED = {
    (None, JobState.PENDING),
    (None, JobState.COMPLETED),
    (JobState.PENDING, JobState.PENDING),  # its priority changed
    (JobState.PENDING, JobState.RUNNING),
    (JobState.PENDING, JobState.CANCELLED),
    *((JobState.RUNNING, state) for state in (JobState.PENDING, *TERMINAL_STATES)),
}


class WatchedQueue(RuleBasedStateMachine):
    """A queue without steps; :mod:`tests.unit.jobs.test_queue_machine` has them."""

    @initialize()
    def start(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.clock = Clock()
        self.server = QueueServer(self.folder, self.clock)
        #: The jobs as they were last seen, and those that were cancelled as far as anybody was told.
        self.known: dict[str, Job] = {}
        self.cancelled: set[str] = set()
        #: Jobs that the last step may have deleted.
        self.going: Collection[str] = ()

    def teardown(self) -> None:
        """Let everything end, and delete it all: nothing may be left."""
        if not hasattr(self, "server"):
            return
        server = self.server
        try:
            server.run(lambda: server.service.set_paused(False, ANYONE))
            while server.executor.waiting is not None:
                asked = server.executor.waiting.job.id in server.executor.asked
                server.run(server.step(self._obey if asked else server.finish))
            jobs = server.jobs()
            assert {job.id for job in jobs} == self.known.keys()
            assert all(job.is_finished for job in jobs)
            self.everything_is_as_it_should_be()
            for job in jobs:
                server.run(lambda job=job: server.service.remove(job.id, ANYONE))  # type: ignore[misc]
            assert list(self.folder.glob("spool/*")) == []
            assert list(self.folder.glob("output/*")) == []
        finally:
            server.stop()
            self.temporary.cleanup()

    # ------------------------------------------------------------------ helpers

    def do(self, work: Callable[[], Awaitable[T]], fuse: int | None = None) -> T | None:
        """Do something; None when the server was killed meanwhile and started again."""
        self.server.database.fuse = fuse
        try:
            return self.server.run(work)
        except asyncio.CancelledError:
            self._start_again()
            return None
        finally:
            self.server.database.fuse = None

    def _start_again(self, fuse: int | None = None) -> None:
        self._check_what_was_told()
        self.server.kill()
        self.server = QueueServer(self.folder, self.clock, fuse=fuse)
        if self.server.database.dead:
            self.server.kill()
            self.server = QueueServer(self.folder, self.clock)

    def _check_what_was_told(self) -> None:
        changes = [(previous, state) for _, previous, state in self.server.broadcast.changes]
        assert set(changes) <= ALLOWED
        assert self.server.executor.begun_unwanted == []

    def _pick(self, number: int, *, state: JobState | None = None) -> Job | None:
        jobs = [job for job in self.known.values() if state in {None, job.state}]
        return jobs[number % len(jobs)] if jobs else None

    @staticmethod
    async def _obey(_attempt: Attempt) -> Result:
        raise Cancelled

    @property
    def _is_working(self) -> bool:
        return self.server.executor.waiting is not None

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        self._check_what_was_told()
        jobs = self.server.jobs()
        self._check_changes({job.id: job for job in jobs})
        self._check_endings(jobs)
        self._check_outputs(jobs)
        self._check_spool(jobs)

    def _check_changes(self, jobs: dict[str, Job]) -> None:
        for job_id, before in self.known.items():
            if job_id not in jobs:
                assert job_id in self.going, f"{before} was lost"
            elif before.is_finished:
                assert jobs[job_id] == before
        for job in jobs.values():
            if job.id in self.cancelled:
                is_ending = job.state is JobState.RUNNING and job.cancel_requested_at is not None
                assert is_ending or job.state in {JobState.CANCELLED, JobState.COMPLETED}
            assert job.finished_at is None or job.is_finished
            assert job.started_at is None or job.state is not JobState.PENDING
            assert job.state is not JobState.COMPLETED or len(job.outputs) == job.parameters["batch_count"]
        self.known, self.going = jobs, ()

    def _check_endings(self, jobs: list[Job]) -> None:
        endings = self.server.endings()
        assert set(endings.values()) <= {1}
        assert {job.id for job in jobs if job.is_finished} == endings.keys() & self.known.keys()

    def _check_outputs(self, jobs: list[Job]) -> None:
        files = {path.relative_to(self.folder / "output"): path for path in self.folder.glob("output/*/*")}
        listed = {Path(job.id, output.file): job for job in jobs for output in job.outputs}
        assert files.keys() == listed.keys()
        assert {path.name for path in self.folder.glob("output/*")} == {path.parts[0] for path in listed}
        for name, job in listed.items():
            content = files[name].read_bytes()
            assert content == content_of(job, int(name.stem.removeprefix("image_")))

    def _check_spool(self, jobs: list[Job]) -> None:
        waiting = self.server.executor.waiting
        attempts = {Path(waiting.job.id, f"attempt_{waiting.job.lease_id}", "0.rgb")} if waiting else set()
        inputs = {Path(job.id, "input", "init_image_0.png") for job in jobs if job.type is JobType.IMG2IMG}
        spool = self.folder / "spool"
        assert {path.relative_to(spool) for path in spool.rglob("*") if path.is_file()} == inputs | attempts
        assert {path.name for path in spool.glob("*")} == {path.parts[0] for path in inputs | attempts}
