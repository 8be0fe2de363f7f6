"""The workers on other machines that are connected to this server: what they are, and jobs for them.

Each of a worker's engines has a :class:`sdrest.jobs.worker.Worker` here, so a job's turn, lease, end and files are what they are
for an engine of this machine; only its executor does nothing but tell the other side. A connection that breaks is not the end: the
worker goes on, and has the time of a lease to come back.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from sdrest.core.errors import Cancelled, EngineDied, NotFound, SdrestError, error_of
from sdrest.core.events import JobPreviewed
from sdrest.core.job import Job, JobType
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.store import LEASE_SECONDS
from sdrest.jobs.worker import Result, Worker
from sdrest.work import worker_frames as frames

log = structlog.get_logger(__name__)

#: What workers carry out.
WORKER_TYPES: Final = (
    JobType.TXT2IMG,
    JobType.IMG2IMG,
    JobType.INPAINT,
    JobType.CONTROLNET,
    JobType.UPSCALE,
    JobType.VIDEO,
    JobType.LOAD,
)

#: Sends a frame to a worker, in order, without waiting.
Send = Callable[[frames.FromServer], None]


@dataclass(slots=True)
class _Assigned:
    """An attempt that a worker has."""

    attempt: Attempt
    run: frames.Run
    ending: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: SdrestError) -> None:
        if not self.ending.done():
            self.ending.set_exception(error)


class RemoteWorker:
    """One process on another machine, from its first connection until it has gone for good."""

    def __init__(self, hello: frames.Hello, owner: str, since: datetime) -> None:
        self.hello = hello
        #: The principal whose key it has.
        self.owner = owner
        self.since = since
        #: Ids of its model files, and what is in them.
        self.models: Mapping[str, str] = {}
        #: Ids of the models in memory, by engine.
        self.loaded: dict[str, tuple[str, ...]] = {}
        self.is_leaving = False
        self.jobs_done = 0
        self.pictures_made = 0
        self._assigned: dict[str, _Assigned] = {}
        self._ended: dict[str, list[str]] = {slot.name: [] for slot in hello.slots}
        self._ready = asyncio.Event()
        self._send: Send | None = None

    @property
    def name(self) -> str:
        """What it calls itself."""
        return self.hello.worker

    @property
    def is_connected(self) -> bool:
        """Whether it is there now."""
        return self._send is not None

    @property
    def jobs(self) -> dict[str, Job]:
        """What is being carried out, by engine."""
        return {item.run.slot: item.attempt.job for item in self._assigned.values()}

    def tell(self, frame: frames.FromServer) -> None:
        """Send a frame; lost when the worker is not there, and made good when it comes back."""
        if self._send is not None:
            self._send(frame)

    # ------------------------------------------------------------------ coming and going

    def connect(self, hello: frames.Hello, send: Send) -> None:
        """It is there (again): go on where the last connection ended."""
        self.hello = hello
        self._send = send
        send(frames.Welcome(tuple(lease for lease in hello.holding if lease in self._assigned)))
        for lease, assigned in self._assigned.items():
            if lease not in hello.holding:
                send(assigned.run)
            if assigned.attempt.is_cancelled:
                send(frames.Cancel(lease))
        if not self.is_leaving:
            self._ready.set()

    def disconnect(self, send: Send) -> bool:
        """A connection has ended; whether it was the newest one."""
        if self._send is not send:
            return False
        self._send = None
        self._ready.clear()
        return True

    def give_up(self) -> None:
        """It does not come back: end its attempts, which may begin again elsewhere."""
        for assigned in self._assigned.values():
            assigned.fail(
                Cancelled() if assigned.attempt.is_cancelled else EngineDied(f"the worker {self.name} has gone")
            )

    def leave(self) -> None:
        """Give it no further jobs."""
        self.is_leaving = True
        self._ready.clear()

    # ------------------------------------------------------------------ jobs

    async def until_ready(self, slot: str) -> None:
        """Wait until an engine may get a job. Whatever it had before is over, and stored."""
        for lease in self._ended[slot]:
            self.tell(frames.Over(lease))
        self._ended[slot].clear()
        await self._ready.wait()

    def loaded_by(self, slot: str) -> Sequence[str]:
        """Ids of the models that an engine has in memory; none while it takes no jobs."""
        return self.loaded.get(slot, ()) if self._ready.is_set() else ()

    async def carry_out(self, attempt: Attempt, run: frames.Run) -> Result:
        """Have an attempt carried out; raises as :meth:`sdrest.jobs.worker.Executor.execute`."""
        lease = attempt.job.lease_id
        assigned = self._assigned[lease] = _Assigned(attempt, run)
        self.tell(run)
        attempt.on_watched(lambda: self.tell(frames.Watch(lease)))
        attempt.on_skipped(lambda picture: self.tell(frames.Skip(lease, picture)))
        attempt.on_cancel(lambda: self.tell(frames.Cancel(lease)))
        if attempt.is_cancelled and not self.is_connected:
            assigned.fail(Cancelled())
        try:
            result = await assigned.ending
            self.jobs_done += 1
            return result
        finally:
            del self._assigned[lease]
            self._ended[run.slot].append(lease)

    async def heard(self, frame: frames.FromWorker) -> None:
        """Something has come from it; what is about an attempt that is over is answered with that."""
        match frame:
            case frames.Inventory():
                self.models = frame.models
            case frames.Loaded():
                self.loaded[frame.slot] = frame.models
            case frames.Leaving():
                self.leave()
            case frames.Hello():
                pass
            case _:
                assigned = self._assigned.get(frame.lease)
                if assigned is not None:
                    await self._of_attempt(assigned, frame)
                elif not any(frame.lease in leases for leases in self._ended.values()):
                    self.tell(frames.Over(frame.lease))

    async def _of_attempt(
        self, assigned: _Assigned, frame: frames.Reached | frames.Shown | frames.Made | frames.Done | frames.Failed
    ) -> None:
        attempt = assigned.attempt
        match frame:
            case frames.Reached():
                attempt.reached(frame.progress)
            case frames.Shown():
                job = attempt.job
                attempt.publish(JobPreviewed(job.id, job.principal, frame.step, frame.width, frame.height, frame.jpeg))
            case frames.Made() if "/" in frame.output.file or frame.output.file.startswith("."):
                assigned.fail(SdrestError("the worker has made a file whose name is none"))
            case frames.Made():
                await attempt.made(frame.output)
                self.pictures_made += 1
                self.tell(frames.Noted(frame.lease, frame.output.file))
            case frames.Done():
                if not assigned.ending.done():
                    assigned.ending.set_result(Result(frame.seconds, frame.warnings))
            case frames.Failed():
                error = error_of(frame.slug, frame.message)
                error.log_tail = frame.log_tail
                assigned.fail(error)


@dataclass(frozen=True, slots=True)
class _RemoteExecutor:
    """See :class:`sdrest.jobs.worker.Executor`."""

    worker: RemoteWorker
    slot: str
    needed: Callable[[Job], tuple[frames.Needed, ...]]
    inputs: Callable[[Job], tuple[str, ...]]

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job = attempt.job
        models = await asyncio.to_thread(self.needed, job)
        inputs = await asyncio.to_thread(self.inputs, job)
        # What is nobody else's business stays here.
        sent = dataclasses.replace(job, idempotency_key="", webhook_url="", origin={})
        return await self.worker.carry_out(attempt, frames.Run(self.slot, sent, inputs, models))


class Fleet:
    """All workers of this server.

    Args:
        service: Where jobs come from.
        needed: Which model files a job needs; called on a worker thread.
        max_attempts: How often a job is begun under which the engine, or the whole worker, dies.
        grace_seconds: How long a worker may be away.
    """

    def __init__(
        self,
        service: JobService,
        needed: Callable[[Job], tuple[frames.Needed, ...]],
        *,
        max_attempts: int,
        grace_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._service = service
        self._needed = needed
        self._max_attempts = max_attempts
        self._grace_seconds = grace_seconds
        self._workers: dict[str, RemoteWorker] = {}
        self._slots: dict[str, list[Worker]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    @property
    def workers(self) -> Sequence[RemoteWorker]:
        """Those that are there, or may come back."""
        return tuple(self._workers.values())

    def budget_bytes(self) -> int:
        """What the smallest engine of all workers may take: any of them may get a job; 0 while there is none."""
        return min((slot.budget_bytes for worker in self.workers for slot in worker.hello.slots), default=0)

    def notices(self) -> Sequence[str]:
        """What the sender of a job is to know that only workers can carry out."""
        if any(worker.is_connected and not worker.is_leaving for worker in self.workers):
            return ()
        return ("no worker is connected that could make the pictures: the job waits until one comes",)

    def join(self, hello: frames.Hello, owner: str, send: Send) -> RemoteWorker:
        """A worker has connected, for the first time or again."""
        worker = self._workers.get(hello.session)
        if worker is None or worker.owner != owner:
            worker = self._workers[hello.session] = RemoteWorker(hello, owner, self._service.clock())
            self._slots[hello.session] = [self._begin(worker, slot.name) for slot in hello.slots]
            log.info("a worker has come", worker=worker.name, slots=len(hello.slots))
        if (task := self._leaving.pop(hello.session, None)) is not None:
            task.cancel()
        worker.connect(hello, send)
        return worker

    def _begin(self, worker: RemoteWorker, slot: str) -> Worker:
        executor = _RemoteExecutor(worker, slot, self._needed, self._inputs)
        carrying_out = Worker(
            f"{worker.name}/{slot}",
            self._service,
            dict.fromkeys(WORKER_TYPES, executor),
            max_attempts=self._max_attempts,
            ready=lambda: worker.until_ready(slot),
            preferred_models=lambda: worker.loaded_by(slot),
        )
        carrying_out.loop.start()
        return carrying_out

    def _inputs(self, job: Job) -> tuple[str, ...]:
        folder = self._service.files.input_folder(job.id)
        return tuple(sorted(file.name for file in folder.iterdir())) if folder.is_dir() else ()

    def left(self, worker: RemoteWorker, send: Send) -> None:
        """A connection has ended. The worker may come back for a while, unless it has nothing to come back for."""
        if worker.disconnect(send):
            session = worker.hello.session
            self._leaving[session] = asyncio.create_task(self._wait_for(worker), name=f"worker-{worker.name}-away")

    async def _wait_for(self, worker: RemoteWorker) -> None:
        if not (worker.is_leaving and not worker.jobs):
            await asyncio.sleep(self._grace_seconds)
        session = worker.hello.session
        del self._leaving[session]
        worker.give_up()
        log.info("a worker has gone", worker=worker.name)
        del self._workers[session]
        await asyncio.gather(*(slot.retire() for slot in self._slots.pop(session)))

    def drain(self, name: str) -> RemoteWorker:
        """Have a worker finish what it does, and leave.

        Raises:
            NotFound: there is none of that name or session.
        """
        for worker in self.workers:
            if name in {worker.name, worker.hello.session}:
                worker.leave()
                worker.tell(frames.Drain())
                return worker
        raise NotFound(f"no worker {name!r}")

    async def close(self) -> None:
        """Give back what workers are doing, as the server stops."""
        for task in self._leaving.values():
            task.cancel()
        await asyncio.gather(*(slot.loop.stop() for slots in self._slots.values() for slot in slots))
        self._slots.clear()
        self._workers.clear()
