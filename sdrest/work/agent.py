"""A worker on another machine than its server: takes jobs by a connection, and carries them out with engines of its own.

A connection may break at any time. Whatever the server has not confirmed is said again on the next one, and the files of an attempt
are kept until the server says that it is over.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog

from sdrest import __version__
from sdrest.core.backoff import Backoff
from sdrest.core.errors import Cancelled, Gone, InsufficientStorage, SdrestError, Unavailable
from sdrest.core.events import Event, JobPreviewed
from sdrest.core.files import disk_is_full
from sdrest.core.job import Job, JobType, Output, Progress, with_output
from sdrest.jobs.files import JobFiles
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Executor
from sdrest.work import worker_frames as frames
from sdrest.work.fetched_models import FetchedModels

log = structlog.get_logger(__name__)

#: Progress of each attempt is told at most this often, the newest.
_PROGRESS_SECONDS: Final = 0.25


class Link(Protocol):
    """One connection: what comes is iterated over."""

    async def send(self, message: bytes) -> None:
        """Send a message; raises Unavailable when the connection is broken."""
        ...

    def __aiter__(self) -> Any: ...


class Front(Protocol):
    """The server; see :class:`sdrest.net.front.Front`."""

    def connected(self) -> AbstractAsyncContextManager[Link]:
        """A connection."""
        ...

    async def download(self, path: str, target: Path, told: Callable[[int], None] = ...) -> None:
        """Get a file."""
        ...

    async def upload(self, path: str, source: Path) -> None:
        """Put a file there."""
        ...


class RemoteAttempt(Attempt):
    """An attempt at a job of a server elsewhere: what becomes of it is told there."""

    def __init__(self, job: Job, files: JobFiles, front: Front, tell: Callable[[frames.FromWorker], None]) -> None:
        self._set_out(job, files)
        self._front = front
        self._tell = tell
        #: What is to be said again until it is confirmed.
        self.unconfirmed: dict[str, frames.Made | frames.Done | frames.Failed] = {}

    def reached(self, progress: Progress) -> None:
        """Note how far the work is; it is told in time."""
        self.progress = progress

    async def made(self, output: Output) -> bool:
        """Bring a file to the server; whether it is there. From when it is whole there, it is the job's."""
        source = self._files.staging_folder(self.job) / output.file
        try:
            await self._front.upload(files_path(self.job, "outputs", output.file), source)
        except Gone:
            self.lose()
            return False
        self.outputs = with_output(self.outputs, output)
        self.say(output.file, frames.Made(self.job.lease_id, output))
        return True

    def say(self, key: str, frame: frames.Made | frames.Done | frames.Failed) -> None:
        """Say something until it is confirmed."""
        self.unconfirmed[key] = frame
        self._tell(frame)

    def publish(self, event: Event) -> None:
        """Tell of a preview; of nothing else."""
        if isinstance(event, JobPreviewed):
            self._tell(frames.Shown(self.job.lease_id, event.step, event.width, event.height, event.jpeg))


def files_path(job: Job, what: str, file: str) -> str:
    """Where a file of an attempt is at the server, below its API."""
    return f"workers/files/{job.id}/{job.lease_id}/{what}/{file}"


class Agent:
    """All that a worker does.

    Args:
        name: What people call it.
        front: The server.
        files: Where its jobs' files are, for as long as they are needed.
        models: Its model files.
        slots: Its engines, and who carries out the jobs of each type on each.
        describe: The engines as the server is told of them, and the commit of their library.
        fetches: Whether it gets models that it lacks.
        idle_exit_seconds: Time without a job after which it leaves; 0: never.
    """

    def __init__(
        self,
        name: str,
        front: Front,
        files: JobFiles,
        models: FetchedModels,
        slots: Mapping[str, Mapping[JobType, Executor]],
        describe: Callable[[], tuple[Sequence[frames.Slot], str]],
        *,
        fetches: bool = True,
        idle_exit_seconds: float = 0.0,
    ) -> None:
        self._name = name
        self._front = front
        self._files = files
        self._models = models
        self._slots = slots
        self._describe = describe
        self._fetches = fetches
        self._idle_exit_seconds = idle_exit_seconds
        self._session = uuid.uuid4().hex
        self._loaded: dict[str, tuple[str, ...]] = {}
        self._held: dict[str, RemoteAttempt] = {}
        self._slot_of: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._clearing: dict[str, asyncio.Task[None]] = {}
        self._outgoing: asyncio.Queue[frames.FromWorker] | None = None
        self._is_leaving = False
        self._idle_since = time.monotonic()
        self._left = asyncio.Event()
        #: Whether the server has ever said welcome.
        self.was_welcome = False

    # ------------------------------------------------------------------ the connection

    async def run(self) -> None:
        """Work until it has left: :meth:`leave` was called, the server said so, or there was nothing to do for long.

        Raises:
            Unauthorized, Forbidden, NotFound: the server does not want this worker.
        """
        serving = asyncio.create_task(self._serve(), name="agent")
        idling = asyncio.create_task(self._leave_when_idle(), name="agent-idle")
        leaving = asyncio.create_task(self._left.wait(), name="agent-leaving")
        try:
            await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            tasks = {serving, idling, leaving, *self._tasks.values()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self) -> None:
        backoff = Backoff(longest_seconds=10.0)
        while True:
            began_at = time.monotonic()
            try:
                async with self._front.connected() as link:
                    await self._converse(link)
            except Unavailable as error:
                log.warning("no connection to the server", problem=error.message)
            await asyncio.sleep(backoff.after(time.monotonic() - began_at))

    async def _converse(self, link: Link) -> None:
        slots, commit = self._describe()
        holding = tuple(frames.Held(lease, self._slot_of[lease]) for lease in self._held)
        hello = frames.Hello(self._name, self._session, __version__, commit, tuple(slots), holding, self._fetches)
        await link.send(frames.encode(hello))
        outgoing: asyncio.Queue[frames.FromWorker] = asyncio.Queue()
        self._outgoing = outgoing
        outgoing.put_nowait(frames.Inventory(await self._models.inventory()))
        for slot, models in self._loaded.items():
            outgoing.put_nowait(frames.Loaded(slot, models))
        if self._is_leaving:
            outgoing.put_nowait(frames.Leaving())
        sending = [asyncio.create_task(self._send(link, outgoing)), asyncio.create_task(self._tell_progress())]
        try:
            async for message in link:
                frame = frames.from_server(message)
                if isinstance(frame, frames.Bye):
                    return
                self._hear(frame)
        finally:
            self._outgoing = None
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    async def _send(self, link: Link, outgoing: asyncio.Queue[frames.FromWorker]) -> None:
        while True:
            await link.send(frames.encode(await outgoing.get()))

    async def _tell_progress(self) -> None:
        told: dict[str, Progress] = {}
        while True:
            for lease, attempt in self._held.items():
                if told.get(lease) != attempt.progress:
                    told[lease] = attempt.progress
                    self._tell(frames.Reached(lease, attempt.progress))
            told = {lease: progress for lease, progress in told.items() if lease in self._held}
            await asyncio.sleep(_PROGRESS_SECONDS)

    def _tell(self, frame: frames.FromWorker) -> None:
        if self._outgoing is not None:
            self._outgoing.put_nowait(frame)

    def loaded(self, slot: str, models: Collection[str]) -> None:
        """An engine has other models in memory now."""
        self._loaded[slot] = tuple(models)
        self._tell(frames.Loaded(slot, self._loaded[slot]))

    def _hear(self, frame: frames.FromServer) -> None:
        match frame:
            case frames.Welcome(leases=leases):
                self.was_welcome = True
                log.info("the server has work for this worker", holding=len(leases))
                for lease in [*self._held]:
                    if lease in leases:
                        for unconfirmed in self._held[lease].unconfirmed.values():
                            self._tell(unconfirmed)
                    else:
                        self._forget(lease)
            case frames.Run():
                self._begin(frame)
            case frames.Cancel(lease=lease) if lease in self._held:
                self._held[lease].cancel()
            case frames.Watch(lease=lease) if lease in self._held:
                self._held[lease].watch()
            case frames.Skip(lease=lease, picture=picture) if lease in self._held:
                self._held[lease].skip(picture)
            case frames.Noted(lease=lease, file=file) if lease in self._held:
                self._held[lease].unconfirmed.pop(file, None)
            case frames.Over(lease=lease) if lease in self._held:
                self._forget(lease)
            case frames.Drain():
                self.leave()
            case _:
                pass

    # ------------------------------------------------------------------ coming to an end

    def leave(self) -> None:
        """Take no further jobs, and end when those at hand are over."""
        self._is_leaving = True
        self._tell(frames.Leaving())
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._is_leaving and not self._held:
            self._left.set()

    async def _leave_when_idle(self) -> None:
        while self._idle_exit_seconds > 0:
            left = self._idle_since + self._idle_exit_seconds - time.monotonic()
            if left <= 0 and not self._held:
                log.info("nothing to do: the worker leaves")
                self.leave()
                return
            await asyncio.sleep(max(left, 0.1))

    # ------------------------------------------------------------------ jobs

    def _begin(self, run: frames.Run) -> None:
        lease = run.job.lease_id
        if lease in self._held:
            return
        attempt = self._held[lease] = RemoteAttempt(run.job, self._files, self._front, self._tell)
        self._slot_of[lease] = run.slot
        task = self._tasks[lease] = asyncio.create_task(self._carry_out(attempt, run), name=f"attempt-{run.job.id}")
        attempt.on_cancel(task.cancel)

    async def _carry_out(self, attempt: RemoteAttempt, run: frames.Run) -> None:
        lease = attempt.job.lease_id
        ending: frames.Done | frames.Failed
        try:
            attempt.job = await self._prepare(attempt, run)
            result = await self._slots[run.slot][attempt.job.type].execute(attempt)
            ending = frames.Done(lease, result.seconds, result.warnings)
        except asyncio.CancelledError:
            if not attempt.is_cancelled:
                raise
            ending = frames.Failed(lease, Cancelled.slug, "cancelled")
        except SdrestError as error:
            ending = frames.Failed(lease, error.slug, error.message, tuple(error.log_tail))
        except Exception as error:
            if isinstance(error, OSError) and disk_is_full(error):
                full = "the worker's disk is full: there is no room for the job's files"
                ending = frames.Failed(lease, InsufficientStorage.slug, full)
            else:
                log.exception("a job failed unexpectedly")
                ending = frames.Failed(lease, SdrestError.slug, f"internal error at the worker: {type(error).__name__}")
        log.info("a job is done here", job_id=attempt.job.id, ending=type(ending).__name__)
        # What was said of each file may not have come, or have been forgotten by a database that has lost its last moment.
        attempt.say("", msgspec.structs.replace(ending, outputs=attempt.outputs))

    async def _prepare(self, attempt: RemoteAttempt, run: frames.Run) -> Job:
        """Get the model files and input pictures of a job; the job, with the id that its model has here."""
        job = run.job
        if (clearing := self._clearing.get(job.id)) is not None:
            await asyncio.wait({clearing})
        before = self._models.fetched
        names = await self._models.fetch(run.models, attempt.reached)
        if self._models.fetched != before:
            self._tell(frames.Inventory(await self._models.inventory()))
        for file in run.inputs:
            await self._front.download(files_path(job, "inputs", file), self._files.input_folder(job.id) / file)
        return dataclasses.replace(job, model_id=names.get(job.model_id, job.model_id))

    def _forget(self, lease: str) -> None:
        """An attempt is over, or was lost: end it if it goes on, and remove its files."""
        attempt = self._held.pop(lease)
        del self._slot_of[lease]
        task = self._tasks.pop(lease)
        self._idle_since = time.monotonic()
        if not task.done():
            attempt.lose()
        job_id = attempt.job.id
        self._clearing[job_id] = asyncio.create_task(self._clear(job_id, task), name=f"clear-{job_id}")
        self._end_if_over()

    async def _clear(self, job_id: str, task: asyncio.Task[None]) -> None:
        """Remove the files of an attempt when it has ended; another one at the same job waits for that."""
        await asyncio.wait({task})
        await asyncio.to_thread(self._files.remove, job_id)
        if self._clearing.get(job_id) is asyncio.current_task():
            del self._clearing[job_id]
