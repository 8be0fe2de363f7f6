"""Whatever happens to the queue, and in whatever order: each job ends once, a cancelled one never runs again, and the files on the
disk are those in the database.

Hypothesis draws submits, cancels, deaths of the engine and of the server (between two steps, and before and after every write) and
so on; after each step all of it is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import timedelta
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from PIL import Image

from sdrest.core.errors import (
    Conflict,
    EngineDied,
    GenerationFailed,
    NotFound,
    QueueFull,
    Unavailable,
)
from sdrest.core.job import Job, JobState, JobType, Progress
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters
from sdrest.core.principal import ANYONE, Principal, Role, principal_of
from sdrest.jobs.bin import Bin
from sdrest.jobs.retention import Keep, Retention
from sdrest.jobs.running import Attempt
from sdrest.jobs.submission import Submission
from sdrest.jobs.worker import Result
from tests.unit.jobs.queue_server import QueueServer
from tests.unit.jobs.watched_queue import WatchedQueue

T = TypeVar("T")

ANN, BOB = (principal_of(name, Role.USER, "jwt") for name in ("ann", "bob"))
CALLERS = st.sampled_from((ANN, BOB, ANYONE))
#: Which of the jobs, counted from the oldest, as often around as needed.
PICK = st.integers(0, 11)
#: In which state it is; mostly it has ended.
STATE = st.sampled_from((JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, None))
#: When the server is killed in what it does: the number of moments before and after writes. Mostly it is not.
FUSE = st.sampled_from((None, None, None, 1, 2, 3, 4))
SHORT_FUSE = st.sampled_from((None, 1, 2))
LONG_FUSE = st.sampled_from((None, None, None, *range(1, 9)))
PICTURE = Image.new("RGB", (8, 8))


def submissions(callers: st.SearchStrategy[Principal] = CALLERS) -> st.SearchStrategy[Submission]:
    def build(
        caller: Principal, prompt: str, seed: int, batch: int, priority: int, key: str, *, picture: bool
    ) -> Submission:
        return Submission(
            type=JobType.IMG2IMG if picture else JobType.TXT2IMG,
            parameters=GenerationParameters(prompt=prompt, seed=seed, batch_count=batch),
            pictures={"init_image": [PICTURE]} if picture else {},
            principal=caller,
            priority=priority if caller is ANYONE else min(0, priority),
            idempotency_key=key,
        )

    return st.builds(
        build,
        callers,
        st.sampled_from("ab"),
        st.sampled_from((RANDOM_SEED, 7)),
        st.integers(1, 3),
        st.integers(-1, 1),
        st.sampled_from(("", "", "", "k")),
        picture=st.booleans(),
    )


class QueueMachine(WatchedQueue):
    # ------------------------------------------------------------------ callers

    @rule(submission=submissions(), fuse=FUSE, refused=st.booleans())
    def submit(self, submission: Submission, fuse: int | None, refused: bool) -> None:
        self.server.database.refuses = refused
        with contextlib.suppress(QueueFull, Unavailable):
            job = self.do(lambda: self.server.intake.submit(submission), fuse)
            if job is not None:
                earlier = self.known.get(job.id)
                assert earlier is None or earlier.idempotency_key == submission.idempotency_key != ""
                assert job.id in {item.id for item in self.server.jobs()}
        self.server.database.refuses = False

    @rule(number=PICK, fuse=SHORT_FUSE)
    def ask_for_an_earlier_result(self, number: int, fuse: int | None) -> None:
        job = self._pick(number, state=JobState.COMPLETED)
        if job is None or not job.result_key:
            return
        submission = Submission(
            type=job.type,
            parameters=GenerationParameters(prompt=job.parameters["prompt"], seed=7, batch_count=len(job.outputs)),
            pictures={"init_image": [PICTURE]} if job.type is JobType.IMG2IMG else {},
            principal=next(caller for caller in (ANN, BOB, ANYONE) if caller.name == job.principal),
        )
        again = self.do(lambda: self.server.intake.submit(submission), fuse)
        assert again is None or (again.state is JobState.COMPLETED and again.reused_from)

    @rule(submission=submissions(), is_written=st.booleans())
    def submit_and_stop_the_server_meanwhile(self, submission: Submission, is_written: bool) -> None:
        """The caller is cancelled, the write that it began is not: if it comes to its end, the job is worked on."""
        server, gate = self.server, threading.Event()

        async def cancelled() -> None:
            server.database.gate = gate
            task = asyncio.create_task(server.intake.submit(submission))
            held = asyncio.create_task(server.database.held.wait())
            await asyncio.wait({task, held}, return_when=asyncio.FIRST_COMPLETED)
            task.cancel()
            held.cancel()
            await asyncio.wait({task, held})
            server.database.gate = None
            gate.set()
            if is_written:  # this one comes after it
                await server.database.write(lambda _db: None)
            if not task.cancelled():
                task.exception()

        self.do(cancelled)
        self.stop_and_start(None)

    @rule(number=PICK, caller=CALLERS, fuse=FUSE)
    def cancel(self, number: int, caller: Principal, fuse: int | None) -> None:
        job = self._pick(number)
        if job is None:
            return
        try:
            after = self.do(lambda: self.server.service.cancel(job.id, caller), fuse)
        except Conflict:
            assert job.is_finished
        except NotFound:
            assert not caller.owns(job.principal)
        else:
            assert not job.is_finished
            if after is not None:
                self.cancelled.add(job.id)

    @precondition(lambda self: self._is_working)
    @rule(then=st.sampled_from(("", "obey", "fail", "die", "stop", "kill")), fuse=FUSE)
    def cancel_what_runs(self, then: str, fuse: int | None) -> None:
        """What comes next is drawn here as well: so that it comes often enough."""
        assert self.server.executor.waiting is not None
        job_id = self.server.executor.waiting.job.id
        if self.do(lambda: self.server.service.cancel(job_id, ANYONE)) is None:
            return
        self.cancelled.add(job_id)
        match then:
            case "obey":
                self.obey_a_cancel(fuse)
            case "fail" | "die":
                self.fail(fuse, GenerationFailed if then == "fail" else EngineDied)
            case "stop":
                self.stop_and_start(fuse)
            case "kill":
                self.kill_and_start(False, fuse)
            case _:
                pass

    @rule()
    def cancel_what_is_claimed_next(self) -> None:
        """After the store has given the job away, before the worker has it."""
        service, cancelled = self.server.service, self.cancelled

        async def cancel(job: Job) -> None:
            await service.cancel(job.id, ANYONE)
            cancelled.add(job.id)

        self.server.store.on_claim = cancel

    @rule(caller=CALLERS, fuse=FUSE)
    def clear(self, caller: Principal, fuse: int | None) -> None:
        self.do(lambda: self.server.service.clear_pending(caller), fuse)

    @rule(number=PICK, state=STATE, fuse=FUSE, refused=st.booleans())
    def retry(self, number: int, state: JobState | None, fuse: int | None, refused: bool) -> None:
        job = self._pick(number, state=state)
        if job is None:
            return
        self.server.database.refuses = refused and job.is_finished
        try:
            again = self.do(lambda: self.server.intake.retry(job.id, ANYONE), fuse)
        except Conflict:
            assert not job.is_finished
        except (QueueFull, Unavailable):
            pass
        else:
            if again is not None:
                assert (again.principal, again.attempt) == (job.principal, 0)
        self.server.database.refuses = False

    @rule(number=PICK, state=STATE, fuse=SHORT_FUSE, refused=st.booleans())
    def remove(self, number: int, state: JobState | None, fuse: int | None, refused: bool) -> None:
        job = self._pick(number, state=state)
        if job is None:
            return
        self.server.database.refuses = refused and job.is_finished
        self.going = {job.id} if job.is_finished else ()
        try:
            self.do(lambda: self.server.service.remove(job.id, ANYONE), fuse)
        except Conflict:
            assert not job.is_finished
        except Unavailable:
            self.going = ()
        self.server.database.refuses = False

    @rule(jobs=st.integers(0, 4), size=st.integers(0, 40), hours=st.integers(0, 6), fuse=FUSE, refused=st.booleans())
    def delete_what_is_old(self, jobs: int, size: int, hours: int, fuse: int | None, refused: bool) -> None:
        keep = Keep(days=hours / 24, jobs=jobs, size_bytes=size)
        retention = Retention(
            self.server.service, keep, Bin(self.server.service, days=30, clock=self.clock), clock=self.clock
        )
        self.going = {job.id for job in self.known.values() if job.is_finished}
        self.server.database.refuses = refused
        with contextlib.suppress(Unavailable):
            if self.do(retention.sweep, fuse) is not None:
                left = [job for job in self.server.jobs() if job.is_finished]
                assert not jobs or len(left) <= jobs
                assert (
                    not size
                    or not left
                    or self.server.run(self.server.store.output_bytes)
                    <= size
                    + sum(
                        output.size_bytes for job in self.server.jobs() if not job.is_finished for output in job.outputs
                    )
                )
        self.server.database.refuses = False

    @rule(number=PICK, priority=st.integers(-2, 2))
    def prioritise(self, number: int, priority: int) -> None:
        job = self._pick(number)
        if job is not None:
            with contextlib.suppress(Conflict):
                self.do(lambda: self.server.service.prioritise(job.id, priority, ANYONE))

    @rule(paused=st.booleans(), fuse=FUSE)
    def pause(self, paused: bool, fuse: int | None) -> None:
        self.do(lambda: self.server.service.set_paused(paused, ANYONE), fuse)

    @rule(hours=st.integers(1, 5))
    def let_time_pass(self, hours: int) -> None:
        self.clock.now += timedelta(hours=hours)

    # ------------------------------------------------------------------ the engine

    @precondition(lambda self: self._is_working)
    @rule(fuse=FUSE)
    def make_a_picture(self, fuse: int | None) -> None:
        self.do(self.server.step(self.server.make_next), fuse)

    @precondition(lambda self: self._is_working)
    @rule()
    def progress(self) -> None:
        async def step(attempt: Attempt) -> None:
            attempt.reached(Progress(step=1, steps=2, fraction=0.5))

        self.do(self.server.step(step))

    @precondition(lambda self: self._is_working)
    @rule(fuse=LONG_FUSE)
    def finish(self, fuse: int | None) -> None:
        self.do(self.server.step(self.server.finish), fuse)

    @precondition(lambda self: self._is_working)
    @rule(fuse=FUSE, error=st.sampled_from((GenerationFailed, EngineDied, RuntimeError)))
    def fail(self, fuse: int | None, error: type[Exception]) -> None:
        async def step(_attempt: Attempt) -> Result:
            raise error("it went wrong")

        self.do(self.server.step(step), fuse)

    @precondition(lambda self: self._is_working and bool(self.server.executor.asked))
    @rule(fuse=FUSE)
    def obey_a_cancel(self, fuse: int | None) -> None:
        self.do(self.server.step(self._obey), fuse)

    # ------------------------------------------------------------------ the server

    @rule(fuse=FUSE)
    def stop_and_start(self, fuse: int | None) -> None:
        self._check_what_was_told()
        self.server.stop(fuse=fuse)
        self.server = QueueServer(self.folder, self.clock)

    @rule(writing=st.booleans(), fuse=FUSE)
    def kill_and_start(self, writing: bool, fuse: int | None) -> None:
        """Perhaps while a picture is being written, and perhaps again while it starts."""
        waiting = self.server.executor.waiting
        if writing and waiting is not None:
            folder = self.server.files.staging_folder(waiting.job)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".image_9.png.x.part").write_bytes(b"half")
        self._start_again(fuse)


COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))


# Some five seconds on an idle machine.
@pytest.mark.timeout(300)
class TestQueue(QueueMachine.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(COMMON, max_examples=10, stateful_step_count=30)


@pytest.mark.nightly
@pytest.mark.timeout(900)
class TestQueueForLong(QueueMachine.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(COMMON, max_examples=200, stateful_step_count=50, derandomize=False)
