"""Two servers on one store and one folder: each job still ends once, and an attempt that has lost its job writes nothing.

A server that is not told to do anything is frozen, as one is that was stopped or cut off: its leases end, the other one takes its
jobs over, and later it goes on as if nothing had been.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sdrest.core.errors import Conflict, EngineDied, GenerationFailed, QueueFull
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.parameters import GenerationParameters
from sdrest.core.principal import ANYONE
from sdrest.jobs.running import Attempt
from sdrest.jobs.submission import Submission
from sdrest.jobs.worker import Result
from tests.needs import NEEDS, needs
from tests.postgres import PostgresServer
from tests.unit.jobs.queue_server import Clock, QueueServer, content_of
from tests.unit.jobs.watched_queue import ALLOWED, WatchedQueue

LEASE_SECONDS = 30.0
NAMES = ("east", "west")
WHICH = st.sampled_from(NAMES)
PICK = st.integers(0, 11)


class TwoServers(RuleBasedStateMachine):
    #: Makes the databases; they are files in the folder when it is not given.
    postgres: PostgresServer | None = None

    @initialize()
    def start(self) -> None:
        self.url = self.postgres.new_database() if self.postgres else ""
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.clock = Clock()
        self.servers = {name: self._new(name) for name in NAMES}
        #: Whose each lease that was ever seen is.
        self.leases: dict[str, str] = {}
        self.cancelled: set[str] = set()

    def _new(self, name: str) -> QueueServer:
        return QueueServer(self.folder, self.clock, name=name, lease_seconds=LEASE_SECONDS, url=self.url)

    def teardown(self) -> None:
        """Thaw both, and let everything end."""
        if not hasattr(self, "servers"):
            return
        try:
            self.pause(NAMES[0], False)
            while any(not job.is_finished for job in self._jobs()):
                for name in NAMES:
                    self._work(name, self.servers[name].finish)
                    self.look(name)
                self.clock.now += timedelta(seconds=LEASE_SECONDS / 2)
            for name in NAMES:  # an attempt that has lost its job learns of it here, and takes its files away
                self.look(name)
            self.each_job_ends_once_and_its_files_are_there()
            assert not list(self.folder.glob("spool/*"))
            assert not list(self.folder.glob("output/*/.*"))
        finally:
            for server in self.servers.values():
                server.stop()
            self.temporary.cleanup()
            if self.postgres:
                self.postgres.drop(self.url)

    def _jobs(self) -> list[Job]:
        return self.servers[NAMES[0]].jobs()

    def _work(self, name: str, step: object) -> None:
        """Have the server's attempt do something; what has lost its job may change nothing that others can see."""
        server = self.servers[name]
        waiting = server.executor.waiting
        if waiting is None:
            return
        if waiting.job.id in server.executor.asked:
            step = WatchedQueue._obey
        before = {job.id: job for job in self._jobs()}
        if server.executor.waiting is None:
            return  # it has ended by itself, when its server was asked
        holds = before[waiting.job.id].lease_id == waiting.job.lease_id
        holds = holds and before[waiting.job.id].state is JobState.RUNNING
        files = self._files()
        server.run(server.step(step))  # type: ignore[arg-type]
        if not holds:
            assert before[waiting.job.id].outputs == {job.id: job for job in self._jobs()}[waiting.job.id].outputs
            assert self._files() == files

    def _files(self) -> dict[str, bytes]:
        found = self.folder.glob("output/*/[!.]*")
        return {str(path.relative_to(self.folder / "output")): path.read_bytes() for path in found if path.is_file()}

    # ------------------------------------------------------------------ callers

    @rule(name=WHICH, batch=st.integers(1, 3), prompt=st.sampled_from("ab"))
    def submit(self, name: str, batch: int, prompt: str) -> None:
        server = self.servers[name]
        parameters = GenerationParameters(prompt=prompt, batch_count=batch)
        with contextlib.suppress(QueueFull):
            server.run(
                lambda: server.intake.submit(
                    Submission(type=JobType.TXT2IMG, parameters=parameters, principal=ANYONE, reuse=False)
                )
            )

    @rule(name=WHICH, number=PICK)
    def cancel(self, name: str, number: int) -> None:
        jobs, server = self._jobs(), self.servers[name]
        if not jobs:
            return
        job = jobs[number % len(jobs)]
        try:
            server.run(lambda: server.service.cancel(job.id, ANYONE))
        except Conflict:
            return
        self.cancelled.add(job.id)

    @rule(name=WHICH, paused=st.sampled_from((True, False, False)))
    def pause(self, name: str, paused: bool) -> None:
        server = self.servers[name]
        server.run(lambda: server.service.set_paused(paused, ANYONE))

    # ------------------------------------------------------------------ the servers

    @rule(name=WHICH)
    def make_a_picture(self, name: str) -> None:
        self._work(name, self.servers[name].make_next)

    @rule(name=WHICH)
    def finish(self, name: str) -> None:
        self._work(name, self.servers[name].finish)

    @rule(name=WHICH, error=st.sampled_from((GenerationFailed, EngineDied)))
    def fail(self, name: str, error: type[Exception]) -> None:
        async def step(_attempt: Attempt) -> Result:
            raise error("it went wrong")

        self._work(name, step)

    @rule(name=WHICH)
    def look(self, name: str) -> None:
        self.servers[name].run(self.servers[name].leases.look)

    @rule(frozen=st.sampled_from((*NAMES, "", "both")), then=st.booleans())
    def let_time_pass(self, frozen: str, then: bool) -> None:
        """Three times half a lease, in which whoever is not frozen keeps its own and takes back the other's."""
        for _ in range(3):
            self.clock.now += timedelta(seconds=LEASE_SECONDS / 2)
            for name in NAMES:
                if frozen not in {name, "both"}:
                    self.look(name)
        if then:
            for name in NAMES:
                self._work(name, self.servers[name].finish)

    @rule(name=WHICH, what=st.sampled_from(("make", "finish", "fail", "look")), other_goes_on=st.booleans())
    def be_frozen_while_the_other_takes_over(self, name: str, what: str, other_goes_on: bool) -> None:
        """All that it takes in one step: so that it comes often enough."""
        other = next(item for item in NAMES if item != name)
        if self.servers[name].executor.waiting is None:
            return
        self.let_time_pass(name, False)
        if other_goes_on:
            self._work(other, self.servers[other].make_next)
        match what:
            case "make":
                self.make_a_picture(name)
            case "finish":
                self.finish(name)
            case "fail":
                self.fail(name, GenerationFailed)
            case _:
                self.look(name)

    @rule(name=WHICH, kill=st.booleans())
    def end_and_start(self, name: str, kill: bool) -> None:
        server = self.servers[name]
        self._check_what_was_told(server)
        if kill:
            server.kill()
        else:
            server.stop()
        self.servers[name] = self._new(name)

    # ------------------------------------------------------------------ what must hold

    @staticmethod
    def _check_what_was_told(server: QueueServer) -> None:
        assert {(previous, state) for _, previous, state in server.broadcast.changes} <= ALLOWED
        assert server.executor.begun_unwanted == []

    @invariant()
    def each_job_ends_once_and_its_files_are_there(self) -> None:
        if not hasattr(self, "servers"):
            return
        jobs = self._jobs()
        endings = Counter(self.servers[NAMES[0]].endings())
        assert endings == dict.fromkeys((job.id for job in jobs if job.is_finished), 1)
        for job in jobs:
            assert job.id not in self.cancelled or job.cancel_requested_at is not None
            assert job.state is not JobState.COMPLETED or len(job.outputs) == job.parameters["batch_count"]
            if job.lease_id:
                assert self.leases.setdefault(job.lease_id, job.id) == job.id
        listed = {
            f"{job.id}/{output.file}": content_of(job, int(Path(output.file).stem.removeprefix("image_")))
            for job in jobs
            for output in job.outputs
        }
        assert self._files() == listed
        for server in self.servers.values():
            self._check_what_was_told(server)


class TwoServersOnPostgres(TwoServers):
    """The same on one PostgreSQL."""


@pytest.fixture(scope="session", autouse=True)
def _databases(request: pytest.FixtureRequest) -> None:
    if NEEDS["postgres"].is_there():
        TwoServersOnPostgres.postgres = request.getfixturevalue("postgres")


COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.timeout(300)  # some five seconds on an idle machine
class TestTwoServers(TwoServers.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(COMMON, max_examples=12, stateful_step_count=25)


@needs("postgres")
@pytest.mark.timeout(300)
class TestTwoServersOnPostgres(TwoServersOnPostgres.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(COMMON, max_examples=5, stateful_step_count=20)


@needs("postgres")
@pytest.mark.nightly
@pytest.mark.timeout(1800)
class TestTwoServersOnPostgresForLong(TwoServersOnPostgres.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(COMMON, max_examples=100, stateful_step_count=50, derandomize=False)


@pytest.mark.nightly
@pytest.mark.timeout(900)
class TestTwoServersForLong(TwoServers.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(COMMON, max_examples=200, stateful_step_count=50, derandomize=False)
