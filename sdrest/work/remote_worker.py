"""A worker on another machine, as its server knows it: what it is, what it does, and what is said to it.

A connection that breaks is not the end: the worker goes on, and has the time of a lease to come back, here or to another server.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sdrest.core.errors import Cancelled, EngineDied, InsufficientStorage, SdrestError, error_of
from sdrest.core.events import JobPreviewed
from sdrest.core.job import Job, Output
from sdrest.jobs.running import Attempt
from sdrest.jobs.store import Reach
from sdrest.jobs.worker import Refused, Result
from sdrest.work import worker_frames as frames

#: More jobs than that are not remembered as refused by one worker.
_REFUSED_KEPT: Final = 1000

#: Sends a frame to a worker, in order, without waiting.
Send = Callable[[frames.FromServer], None]


@dataclass(slots=True)
class _Assigned:
    """An attempt that a worker has; ``run`` began it, unless another server did."""

    attempt: Attempt
    slot: str
    run: frames.Run | None
    ending: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: SdrestError) -> None:
        if not self.ending.done():
            self.ending.set_exception(error)


class RemoteWorker:
    """One process on another machine, from its first connection until it has gone for good."""

    def __init__(
        self, hello: frames.Hello, owner: str, since: datetime, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.hello = hello
        self._changed = changed
        #: The principal whose key it has.
        self.owner = owner
        self.since = since
        #: Ids of its model files, and what is in them.
        self.models: Mapping[str, str] = {}
        #: Ids here of the models that it has.
        self.at_hand: frozenset[str] = frozenset()
        #: Ids there of the models in memory, by engine, and the ids here.
        self._in_memory: dict[str, tuple[str, ...]] = {}
        self.loaded: dict[str, frozenset[str]] = {}
        #: Ids of jobs that it could not carry out, the newest last.
        self.refused: dict[str, None] = {}
        self.is_leaving = False
        self.jobs_done = 0
        self.pictures_made = 0
        self._assigned: dict[str, _Assigned] = {}
        self._ended: dict[str, list[str]] = {slot.name: [] for slot in hello.slots}
        #: Attempts by lease that another server has begun and this one is about to know.
        self._coming: dict[str, asyncio.Future[None]] = {}
        self._ready = asyncio.Event()
        #: Set when an attempt has begun or ended.
        self._turned = asyncio.Event()
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
        return {item.slot: item.attempt.job for item in self._assigned.values()}

    @property
    def leases(self) -> Sequence[str]:
        """Of what is being carried out."""
        return tuple(self._assigned)

    def knows(self, lease: str) -> bool:
        """Whether an attempt under the lease is known here, until its ending is stored or it is lost."""
        if lease in self._assigned:
            return not self._assigned[lease].attempt.is_lost
        return any(lease in leases for leases in self._ended.values())

    def tell(self, frame: frames.FromServer) -> None:
        """Send a frame; lost when the worker is not there, and made good when it comes back."""
        if self._send is not None:
            self._send(frame)

    # ------------------------------------------------------------------ coming and going

    def connect(self, hello: frames.Hello, send: Send) -> None:
        """It is there (again): go on where the last connection ended."""
        self.hello = hello
        self._send = send
        holding = {held.lease for held in hello.holding}
        send(frames.Welcome(tuple(filter(self.knows, holding))))
        for lease, assigned in self._assigned.items():
            if assigned.attempt.is_lost:
                continue
            if lease not in holding:
                if assigned.run is None:
                    assigned.fail(EngineDied(f"the worker {self.name} knows nothing of the job any more"))
                    continue
                send(assigned.run)
            if assigned.attempt.is_cancelled:
                send(frames.Cancel(lease))
        if not self.is_leaving:
            self._ready.set()
        self._changed()

    def disconnect(self, send: Send) -> bool:
        """A connection has ended; whether it was the newest one."""
        if self._send is not send:
            return False
        self.cut_off()
        return True

    def cut_off(self) -> None:
        """Say nothing more to it, until it connects again."""
        self._send = None
        self._ready.clear()
        self._changed()

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
        self._changed()

    def know(self, ids_of: Callable[[Mapping[str, str]], frozenset[str]]) -> None:
        """Go by what models are called here: by id and content there."""
        self.at_hand = ids_of(self.models)
        for slot, models in self._in_memory.items():
            known = {model_id: self.models[model_id] for model_id in models if model_id in self.models}
            self.loaded[slot] = ids_of(known) | {model_id for model_id in models if model_id not in known}
        self._changed()

    # ------------------------------------------------------------------ jobs

    async def until_ready(self, slot: str) -> None:
        """Wait until an engine may get a job. Whatever it had before is over, and stored."""
        for lease in [*self._ended[slot]]:
            self.over(slot, lease)
        await self._ready.wait()
        while any(item.slot == slot for item in self._assigned.values()) or not self._ready.is_set():
            await self._next_turn()
            await self._ready.wait()

    async def _next_turn(self) -> None:
        self._turned.clear()
        await self._turned.wait()

    def over(self, slot: str, lease: str) -> None:
        """The ending of an attempt is stored: the worker need not keep anything of it."""
        if lease in self._ended[slot]:
            self._ended[slot].remove(lease)
            self.tell(frames.Over(lease))

    async def take_over(self, lease: str, going_on: asyncio.Task[None]) -> None:
        """Wait until an attempt that another server has begun is known here, by its task that has not begun yet."""
        coming = self._coming[lease] = asyncio.get_running_loop().create_future()
        await asyncio.wait({coming, going_on}, return_when=asyncio.FIRST_COMPLETED)
        self._coming.pop(lease, None)

    def goes_on(self, lease: str) -> bool:
        """Whether an attempt is one that the worker carries out already."""
        return lease in self._coming

    def lose(self, lease: str) -> None:
        """A lease is somebody else's: whatever is done under it is to end."""
        if lease in self._assigned:
            self._assigned[lease].attempt.lose()

    def loaded_by(self, slot: str) -> Collection[str]:
        """Ids of the models that an engine has in memory; none while it takes no jobs."""
        return self.loaded.get(slot, ()) if self._ready.is_set() else ()

    def reach(self, slot: str) -> Reach:
        """Which jobs an engine can carry out."""
        budget = next((item.budget_bytes for item in self.hello.slots if item.name == slot), 0)
        return Reach(
            at_hand=self.at_hand, fetches=self.hello.fetches, memory_bytes=budget or None, besides=tuple(self.refused)
        )

    def lacks(self, models: Sequence[frames.Needed]) -> Sequence[frames.Needed]:
        """Those of the files that it has not got, where it may get none."""
        contents = {*self.models.values()}
        return () if self.hello.fetches else [item for item in models if item.content not in contents]

    def refuse(self, job_id: str) -> None:
        """It cannot carry out a job."""
        self.refused[job_id] = None
        while len(self.refused) > _REFUSED_KEPT:
            del self.refused[next(iter(self.refused))]
        self._changed()

    async def carry_out(self, attempt: Attempt, slot: str, run: frames.Run | None) -> Result:
        """Have an attempt carried out, or hear of one that goes on; raises as :meth:`sdrest.jobs.worker.Executor.execute`."""
        lease = attempt.job.lease_id
        assigned = self._assigned[lease] = _Assigned(attempt, slot, run)
        self._turned.set()
        self._changed()
        if run is None:
            self._coming[lease].set_result(None)
        else:
            self.tell(run)
            if attempt.is_cancelled and not self.is_connected:
                assigned.fail(Cancelled())
        attempt.on_watched(lambda: self.tell(frames.Watch(lease)))
        attempt.on_skipped(lambda picture: self.tell(frames.Skip(lease, picture)))
        attempt.on_cancel(lambda: self._end(assigned))
        try:
            result = await assigned.ending
            self.jobs_done += 1
            return result
        finally:
            if self._assigned.get(lease) is assigned:  # else it was lost, and came back
                del self._assigned[lease]
            if not attempt.is_lost:
                self._ended[slot].append(lease)
            self._turned.set()
            self._changed()

    def _end(self, assigned: _Assigned) -> None:
        lease = assigned.attempt.job.lease_id
        if assigned.attempt.is_lost:  # whatever the worker says of it, nobody needs it
            assigned.fail(Cancelled())
            self.tell(frames.Over(lease))
        else:
            self.tell(frames.Cancel(lease))

    async def heard(self, frame: frames.FromWorker) -> None:
        """Something has come from it; what is about an attempt that is over is answered with that."""
        match frame:
            case frames.Inventory():
                self.models = frame.models
            case frames.Loaded():
                self._in_memory[frame.slot] = frame.models
            case frames.Leaving():
                self.leave()
            case frames.Hello():
                pass
            case _:
                assigned = self._assigned.get(frame.lease)
                if assigned is not None:
                    await self._of_attempt(assigned, frame)
                elif not self.knows(frame.lease):
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
            case frames.Made():
                if await self._made(assigned, frame.output):
                    self.tell(frames.Noted(frame.lease, frame.output.file))
            case frames.Done():
                await self._all_made(assigned, frame.outputs)
                if not assigned.ending.done():
                    assigned.ending.set_result(Result(frame.seconds, frame.warnings))
            case frames.Failed():
                await self._all_made(assigned, frame.outputs)
                error = error_of(frame.slug, frame.message)
                error.log_tail = frame.log_tail
                assigned.fail(error)

    async def _made(self, assigned: _Assigned, output: Output) -> bool:
        """A file of an attempt is whole here; whether that is stored."""
        if "/" in output.file or output.file.startswith("."):
            assigned.fail(SdrestError("the worker has made a file whose name is none"))
            return False
        self.pictures_made += 1
        return await assigned.attempt.made(output)

    async def _all_made(self, assigned: _Assigned, outputs: Sequence[Output]) -> None:
        """Take in what was made and is not known here."""
        for output in outputs:
            if output not in assigned.attempt.outputs:
                await self._made(assigned, output)


@dataclass(frozen=True, slots=True)
class RemoteExecutor:
    """See :class:`sdrest.jobs.worker.Executor`."""

    worker: RemoteWorker
    slot: str
    needed: Callable[[Job], tuple[frames.Needed, ...]]
    inputs: Callable[[Job], tuple[str, ...]]

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        job = attempt.job
        if self.worker.goes_on(job.lease_id):
            return await self.worker.carry_out(attempt, self.slot, None)
        models = await asyncio.to_thread(self.needed, job)
        if lacking := self.worker.lacks(models):
            self.worker.refuse(job.id)
            raise Refused(f"{self.worker.name} has not got {lacking[0].path} and may not get it")
        inputs = await asyncio.to_thread(self.inputs, job)
        # What is nobody else's business stays here.
        sent = dataclasses.replace(job, idempotency_key="", webhook_url="", origin={})
        try:
            return await self.worker.carry_out(attempt, self.slot, frames.Run(self.slot, sent, inputs, models))
        except InsufficientStorage as error:  # its disk, not this server's
            self.worker.refuse(job.id)
            raise Refused(f"{self.worker.name}: {error.message}", alone=error) from error
