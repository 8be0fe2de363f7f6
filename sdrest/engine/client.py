"""The engine as the rest of the server sees it: run one task at a time, hear its reports, cancel it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from sdrest.core import errors
from sdrest.engine import messages
from sdrest.engine.places import ANYWHERE, Place
from sdrest.engine.process import CHILD_COMMAND
from sdrest.engine.supervisor import EngineState, Supervisor

log = structlog.get_logger(__name__)

Listener = Callable[[messages.Report], None]

#: Loading cannot be ended softly (the library's loader threads cannot be unwound), so waiting long for it makes no sense.
_LOAD_GRACE_SECONDS: Final = 0.5

_EARLY_CANCELS_KEPT: Final = 1000

_BY_SLUG: Final = {
    cls.slug: cls
    for cls in (
        errors.GenerationFailed,
        errors.ModelUnusable,
        errors.InsufficientMemory,
        errors.InsufficientStorage,
        errors.Unsupported,
        errors.Cancelled,
    )
}


class _Running:
    """The task being run: its listener, its ending, and whether it is to be cancelled."""

    def __init__(self, task_id: str, listener: Listener) -> None:
        self.task_id = task_id
        self.listener = listener
        self.ending: asyncio.Future[messages.Done] = asyncio.get_running_loop().create_future()
        self.cancel_requested = False
        #: Whether a child has it; before that, no child's death is its own.
        self.sent = False
        #: Set when its listener has failed: whatever the child makes of it, nobody could do anything with it.
        self.failure: errors.SdrestError | None = None
        self.phase = ""
        self.killer: asyncio.TimerHandle | None = None

    def end(self, done: messages.Done) -> None:
        if self.failure is not None:
            self.fail(self.failure)
        elif not self.ending.done():
            self.ending.set_result(done)

    def fail(self, error: errors.SdrestError) -> None:
        if not self.ending.done():
            self.ending.set_exception(self.failure or error)


class Engine:
    """Runs tasks in the supervised child, one after another.

    Args:
        cancel_grace_seconds: How long a cancelled task may go on before its child is killed.
        hang_seconds: Silence after which a child is killed.
        place: Where it computes.
        command: What starts a child.
    """

    def __init__(
        self,
        *,
        cancel_grace_seconds: float,
        hang_seconds: float,
        place: Place = ANYWHERE,
        command: Sequence[str] = CHILD_COMMAND,
    ) -> None:
        #: Where it computes.
        self.place = place
        self._grace_seconds = cancel_grace_seconds
        self._followers: list[tuple[Callable[[messages.ContextChanged], None], Callable[[], None]]] = []
        #: What the child holds, each as it was told.
        self._contexts: dict[messages.ContextSpec, messages.ContextChanged] = {}
        #: The task of :meth:`run_early`, as long as it is not done.
        self._early: messages.Load | None = None
        self._idle_since = time.monotonic()
        self._lock = asyncio.Lock()
        self._running: _Running | None = None
        #: Tasks cancelled before they came here, oldest first; ids are never used for another job.
        self._cancelled_early: dict[str, None] = {}
        self.supervisor = Supervisor(
            self._report,
            self._died,
            hang_seconds=hang_seconds,
            refusal=place.refusal,
            command=command,
            environment=place.environment,
            name=place.name,
        )

    @property
    def name(self) -> str:
        """What it is called in views and logs."""
        return self.place.name

    async def start(self) -> None:
        """Start the child without waiting for it; again is harmless."""
        self.supervisor.loop.start()

    async def stop(self) -> None:
        """End the child; a running task fails with ``EngineDied``."""
        await self.supervisor.stop()
        if self._running is not None:
            self._running.fail(errors.EngineDied("the server is stopping"))

    async def info(self) -> messages.Ready:
        """What the library says of itself; waits for the child.

        Raises:
            EngineUnavailable: the child cannot start.
        """
        return await self.supervisor.wait_ready()

    async def until_ready(self) -> None:
        """Wait for a child that takes tasks, however long that takes."""
        await self.supervisor.until_ready()

    def follow(self, on_context: Callable[[messages.ContextChanged], None], on_death: Callable[[], None]) -> None:
        """Call ``on_context`` with each context that is loaded (at once with those that are) or freed, and ``on_death`` when all
        are gone with the child.
        """
        self._followers.append((on_context, on_death))
        for report in self._contexts.values():
            on_context(report)

    @property
    def library(self) -> messages.Ready | None:
        """What the library said of itself at its last start, also while it is restarting; :meth:`info` waits for it."""
        return self.supervisor.info

    @property
    def state(self) -> EngineState:
        """Whether tasks are taken, or will be."""
        return self.supervisor.state

    @property
    def problem(self) -> errors.EngineUnavailable | None:
        """Why no child can start; None when one did last."""
        return self.supervisor.problem

    @property
    def restarts(self) -> int:
        """How often the child was replaced."""
        return self.supervisor.restarts

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the child when it last told."""
        return self.supervisor.memory_bytes

    @property
    def loaded(self) -> tuple[str, ...]:
        """Main files of the loaded contexts when the child last told."""
        return self.supervisor.loaded

    @property
    def idle_seconds(self) -> float:
        """Time since the last task ended; 0 while one runs."""
        return 0.0 if self._running is not None else time.monotonic() - self._idle_since

    async def run(self, task: messages.Task, listener: Listener) -> messages.Done:
        """Run a task to its end; ``listener`` gets its progress, pictures and previews on the event loop.

        Raises:
            Cancelled: :meth:`cancel` was called for it.
            EngineDied: the child ended under it; ``details`` and ``log_tail`` hold its last words.
            GenerationFailed, ModelUnusable, InsufficientMemory, InsufficientStorage, Unsupported: as the child reports.
            EngineUnavailable: no child can start, so nothing was done.
            SdrestError: ``listener`` raised something; the task was ended.
        """
        if self._early is not None and getattr(task, "context", None) != self._early.context:
            self.cancel(self._early.task)
        async with self._lock:
            running = self._running = _Running(task.task, listener)
            try:
                if task.task in self._cancelled_early:
                    del self._cancelled_early[task.task]
                    raise errors.Cancelled
                await self._ready_or_ended(running)
                if not running.ending.done():
                    running.sent = True
                    await self._send(task)
                    if self.supervisor.child is None:  # died while it was sent: nobody would ever answer
                        running.fail(errors.EngineDied("the engine process ended"))
                return await running.ending
            except errors.EngineDied:
                if running.cancel_requested:
                    raise errors.Cancelled from None
                raise
            except asyncio.CancelledError:
                self.supervisor.kill()
                raise
            finally:
                if running.killer is not None:
                    running.killer.cancel()
                if running.ending.done() and not running.ending.cancelled():
                    running.ending.exception()  # retrieved, whoever else raised
                self._running = None
                self._idle_since = time.monotonic()

    async def run_early(self, task: messages.Load) -> messages.Done:
        """Load a model that nobody waits for. A task that has no use for it, or one that is cancelled while it waits, ends this.

        Raises:
            SdrestError: as :meth:`run`.
        """
        self._early = task
        try:
            return await self.run(task, lambda _report: None)
        finally:
            self._early = None

    async def _send(self, command: messages.Command) -> None:
        """Send to the child that takes tasks; dropped when there is none."""
        if self.supervisor.child is not None:
            await self.supervisor.child.send(command)

    async def _ready_or_ended(self, running: _Running) -> None:
        """Wait for a child that takes the task, or for the task's end (it was cancelled, or the server stops)."""
        while not (self.supervisor.is_ready or running.ending.done()):
            waiting = asyncio.ensure_future(self.supervisor.wait_ready())
            try:
                both: set[asyncio.Future[Any]] = {waiting, running.ending}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    waiting.result()
            finally:
                waiting.cancel()

    def cancel(self, task_id: str) -> bool:
        """Ask the running task to end; it is killed with the child when it does not within the grace time.

        Returns False when that task is not running here (yet): it then ends as soon as it comes.
        """
        running = self._running
        if running is None or running.task_id != task_id:
            if self._early is not None and self._early.task != task_id:
                self.cancel(self._early.task)
            self._cancelled_early[task_id] = None
            if len(self._cancelled_early) > _EARLY_CANCELS_KEPT:
                del self._cancelled_early[next(iter(self._cancelled_early))]
            return False
        if not running.cancel_requested:
            running.cancel_requested = True
            if running.sent:
                self._end_soon(running)
            else:
                running.fail(errors.Cancelled())
        return True

    def preview(self, task_id: str) -> None:
        """Have previews of the running task sent from now on; nothing happens when that task is not running."""
        if self._is_sent(task_id):
            self._tell_child(messages.Preview(task=task_id))

    def skip(self, task_id: str, picture: int) -> None:
        """End one picture (from 1) of the running task, which goes on with the next; nothing happens when it is not running."""
        if self._is_sent(task_id):
            self._tell_child(messages.Skip(task=task_id, picture=picture))

    def _is_sent(self, task_id: str) -> bool:
        return self._running is not None and self._running.task_id == task_id and self._running.sent

    def _tell_child(self, command: messages.Command) -> None:
        """Send a command that is not waited for."""
        task = asyncio.get_running_loop().create_task(self._send(command))
        task.add_done_callback(lambda done: done.exception() if not done.cancelled() else None)

    def _end_soon(self, running: _Running) -> None:
        """Ask the child to end the task, and kill it when it does not within the grace time."""
        if running.killer is not None:
            return
        loop = asyncio.get_running_loop()
        grace = _LOAD_GRACE_SECONDS if running.phase == "load" else self._grace_seconds
        running.killer = loop.call_later(min(grace, self._grace_seconds), self._kill_hard, running)
        self._tell_child(messages.Cancel(task=running.task_id))

    def _kill_hard(self, running: _Running) -> None:
        if self._running is running and not running.ending.done():
            log.warning("engine killed", reason="soft cancel took too long", task=running.task_id)
            self.supervisor.kill()

    def _report(self, report: messages.Report) -> None:
        if isinstance(report, messages.ContextChanged):
            self._contexts.pop(report.context, None)
            if report.loaded:
                self._contexts[report.context] = report
            for on_context, _ in self._followers:
                on_context(report)
        running = self._running
        if running is None or not running.sent or getattr(report, "task", running.task_id) != running.task_id:
            return
        match report:
            case messages.Done():
                running.end(report)
            case messages.Failed(slug=slug, message=message, log_tail=log_tail, details=details):
                error = _BY_SLUG.get(slug, errors.GenerationFailed)(message, **details)
                error.log_tail = log_tail
                running.fail(error)
            case messages.LogLine():
                log.debug("engine", level=report.level, text=report.text)
            case _:
                if isinstance(report, messages.Progressed):
                    running.phase = report.phase
                if running.failure is None:
                    self._tell(running, report)

    def _tell(self, running: _Running, report: messages.Report) -> None:
        """Hand a report to the task's listener; what that raises ends the task and nothing else."""
        try:
            running.listener(report)
        except Exception as error:
            log.exception("a report could not be handled: the task ends", task=running.task_id)
            running.failure = (
                error
                if isinstance(error, errors.SdrestError)
                else errors.SdrestError(f"internal error: {type(error).__name__}")
            )
            self._end_soon(running)

    def _died(self, error: errors.EngineDied) -> None:
        self._contexts.clear()
        for _, on_death in self._followers:
            on_death()
        # A task that still waits for the next child has nothing to do with the end of the last one.
        if self._running is not None and self._running.sent:
            self._running.fail(error)
