"""The workers on other machines that are connected to this server: what they are, and jobs for them.

Each of a worker's engines has a :class:`sdrest.jobs.worker.Worker` here, so a job's turn, lease, end and files are what they are
for an engine of this machine; only its executor does nothing but tell the other side. A connection that breaks is not the end: the
worker goes on, and has the time of a lease to come back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from sdrest.core.errors import NotFound, SdrestError, Unavailable
from sdrest.core.job import Job, JobType
from sdrest.jobs.service import JobService
from sdrest.jobs.store import LEASE_SECONDS, NO_SERVER
from sdrest.jobs.worker import Worker
from sdrest.work import worker_frames as frames
from sdrest.work.model_contents import ModelContents
from sdrest.work.remote_worker import RemoteExecutor, RemoteWorker, Send

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


class Fleet:
    """All workers of this server.

    Args:
        service: Where jobs come from.
        needed: Which model files a job needs; called on a worker thread.
        contents: What is in the model files here.
        max_attempts: How often a job is begun under which the engine, or the whole worker, dies.
        grace_seconds: How long a worker may be away.
    """

    def __init__(
        self,
        service: JobService,
        needed: Callable[[Job], tuple[frames.Needed, ...]],
        contents: ModelContents,
        *,
        max_attempts: int,
        grace_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._service = service
        self._needed = needed
        self._contents = contents
        #: Set, and counted, when there is something new to say of a worker.
        self.changed = asyncio.Event()
        self.version = 0
        #: Whether another engine can carry out a job, with more memory than so many bytes.
        self.is_elsewhere: Callable[[Job, int], bool] = lambda _job, _more_than: False
        self._max_attempts = max_attempts
        self._grace_seconds = grace_seconds
        self._workers: dict[str, RemoteWorker] = {}
        self._slots: dict[str, dict[str, Worker]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        #: Attempts that another server has begun, and readings of model files.
        self._going_on: set[asyncio.Task[None]] = set()

    @property
    def workers(self) -> Sequence[RemoteWorker]:
        """Those that are there, or may come back."""
        return tuple(self._workers.values())

    async def join(self, hello: frames.Hello, owner: str, send: Send) -> RemoteWorker:
        """A worker has connected, for the first time or again, here or from another server: its leases are this server's now.

        Raises:
            SdrestError: it is to try again.
        """
        worker = self._workers.get(hello.session)
        if worker is None or worker.owner != owner:
            worker = self._workers[hello.session] = RemoteWorker(hello, owner, self._service.clock(), self._has_changed)
            self._slots[hello.session] = {slot.name: self._begin(worker, slot.name) for slot in hello.slots}
            log.info("a worker has come", worker=worker.name, slots=len(hello.slots))
        self._awaited(hello.session)
        try:
            for held in hello.holding:
                await self._take_over(worker, held)
        except BaseException:
            self._await(worker)
            raise
        if self._workers.get(hello.session) is not worker:
            raise Unavailable("the worker was given up meanwhile")
        self._awaited(hello.session)
        worker.connect(hello, send)
        return worker

    async def heard(self, worker: RemoteWorker, frame: frames.FromWorker) -> None:
        """Something has come from a worker."""
        await worker.heard(frame)
        if isinstance(frame, frames.Inventory | frames.Loaded):
            worker.know(self._contents.ids_of)
            self._keep(asyncio.create_task(self._read_contents(), name="model-contents"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Let a task go on until it ends, or the server stops."""
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)

    async def _read_contents(self) -> None:
        if await self._contents.refresh():
            for worker in self.workers:
                worker.know(self._contents.ids_of)

    async def _take_over(self, worker: RemoteWorker, held: frames.Held) -> None:
        lease = held.lease
        job = await self._service.store.take_over(
            lease, server=self._service.server, worker=f"{worker.name}/{held.slot}", until=self._lease_end()
        )
        if job is None:
            worker.lose(lease)
        elif not worker.knows(lease) and held.slot in self._slots[worker.hello.session]:
            log.info("an attempt goes on here", worker=worker.name, job_id=job.id)
            task = asyncio.create_task(self._go_on(worker, held.slot, job), name=f"going-on-{job.id}")
            self._keep(task)
            await worker.take_over(lease, task)

    async def _go_on(self, worker: RemoteWorker, slot: str, job: Job) -> None:
        await self._slots[worker.hello.session][slot].go_on(job)
        worker.over(slot, job.lease_id)

    def _lease_end(self) -> datetime:
        return self._service.clock() + timedelta(seconds=LEASE_SECONDS)

    def _has_changed(self) -> None:
        self.version += 1
        self.changed.set()

    def _begin(self, worker: RemoteWorker, slot: str) -> Worker:
        executor = RemoteExecutor(worker, slot, self._needed, self._inputs)
        carrying_out = Worker(
            f"{worker.name}/{slot}",
            self._service,
            dict.fromkeys(WORKER_TYPES, executor),
            max_attempts=self._max_attempts,
            ready=lambda: worker.until_ready(slot),
            preferred_models=lambda: worker.loaded_by(slot),
            reach=lambda: worker.reach(slot),
            is_elsewhere=self.is_elsewhere,
        )
        carrying_out.loop.start()
        return carrying_out

    def _inputs(self, job: Job) -> tuple[str, ...]:
        folder = self._service.files.input_folder(job.id)
        return tuple(sorted(file.name for file in folder.iterdir())) if folder.is_dir() else ()

    def left(self, worker: RemoteWorker, send: Send) -> None:
        """A connection has ended. The worker may come back for a while, unless it has nothing to come back for."""
        if worker.disconnect(send):
            self._await(worker)

    def _await(self, worker: RemoteWorker) -> None:
        self._awaited(worker.hello.session)
        task = asyncio.create_task(self._wait_for(worker), name=f"worker-{worker.name}-away")
        self._leaving[worker.hello.session] = task

    def _awaited(self, session: str) -> None:
        if (task := self._leaving.pop(session, None)) is not None:
            task.cancel()

    async def _wait_for(self, worker: RemoteWorker) -> None:
        if not (worker.is_leaving and not worker.jobs):
            await asyncio.sleep(self._grace_seconds)
        session = worker.hello.session
        del self._leaving[session]
        worker.give_up()
        log.info("a worker has gone", worker=worker.name)
        del self._workers[session]
        self._has_changed()
        await asyncio.gather(*(slot.retire() for slot in self._slots.pop(session).values()))

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
        """The server stops. What workers are doing goes on: for the time of a lease, any server may take it over."""
        for task in self._leaving.values():
            task.cancel()
        for worker in self.workers:
            worker.tell(frames.Bye())
            worker.cut_off()
            for lease in worker.leases:
                with contextlib.suppress(SdrestError):
                    name = f"{worker.name}, between two servers"
                    await self._service.store.take_over(lease, server=NO_SERVER, worker=name, until=self._lease_end())
                    worker.lose(lease)
        await asyncio.gather(*(slot.loop.stop() for slots in self._slots.values() for slot in slots.values()))
        for task in self._going_on:
            task.cancel()
        await asyncio.gather(*self._going_on, return_exceptions=True)
        self._slots.clear()
        self._workers.clear()
