"""Keeping one engine child alive: start, watch, restart with growing pauses, never give the server up.

Alive means running *and* answering: the child's main thread answers a ping whatever the native thread does, so a child that is
silent for ``hang_seconds`` is stopped or stuck and gets killed. One that cannot start (a library that is missing or does not fit, a
backend that is not there) makes the engine *unavailable*; it is tried again, at most :data:`LONGEST_PAUSE_SECONDS` apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from sdrest.core.background import Background
from sdrest.core.backoff import Backoff
from sdrest.core.errors import BackendMissing, EngineDied, EngineUnavailable
from sdrest.engine import messages
from sdrest.engine.process import CHILD_COMMAND, ChildProcess

log = structlog.get_logger(__name__)

LONGEST_PAUSE_SECONDS: Final = 30.0
_FIRST_PAUSE_SECONDS: Final = 0.2
#: A child that has worked is wanted back soon, however often its like has died.
_LONGEST_PAUSE_AFTER_WORK_SECONDS: Final = 1.0
_START_SECONDS: Final = 60.0
_PING_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 2.0


class EngineState(StrEnum):
    """Whether the engine takes tasks, or will by itself."""

    STARTING = "starting"
    READY = "ready"
    #: The last child could not start; tasks wait until one can.
    UNAVAILABLE = "unavailable"


@dataclass(slots=True)
class _Life:
    """One child, and what is known of it."""

    child: ChildProcess
    heard_at: float
    was_ready: bool = False
    #: Why it is of no use although it runs.
    refusal: str = ""


class Supervisor:
    """Owns the engine child and its restarts.

    Args:
        on_report: Gets every report but pongs.
        on_death: Called with the last words when a child that was ready has ended unasked.
        hang_seconds: Silence after which a child is killed.
        refusal: Why a child with this library is of no use; empty when it is.
        command: What starts a child.
        environment: Variables for the children, beside this process's.
        name: What its loop is called.
        backoff: The pauses between children.
        start_seconds: Longest time from launch to :class:`messages.Ready`.
        ping_seconds: How often a child is asked for a sign of life.
    """

    def __init__(
        self,
        on_report: Callable[[messages.Report], None],
        on_death: Callable[[EngineDied], None],
        *,
        hang_seconds: float,
        refusal: Callable[[messages.Ready], str] = lambda _ready: "",
        command: Sequence[str] = CHILD_COMMAND,
        environment: Mapping[str, str] | None = None,
        name: str = "engine",
        backoff: Backoff | None = None,
        start_seconds: float = _START_SECONDS,
        ping_seconds: float = _PING_SECONDS,
    ) -> None:
        self._on_report = on_report
        self._on_death = on_death
        self._hang_seconds = hang_seconds
        self._refusal = refusal
        self._command = command
        self._environment = environment
        self._backoff = backoff or Backoff(_FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._start_seconds = start_seconds
        self._ping_seconds = ping_seconds
        self._life: _Life | None = None
        self._ready = asyncio.Event()
        #: Set while it is known whether a child can start: one is ready, or the last one could not.
        self._settled = asyncio.Event()
        self._stopping = False
        self.loop = Background(f"{name}-supervisor", self._run)
        self.restarts = 0
        self.memory_bytes = 0
        self.loaded: tuple[str, ...] = ()
        #: What the library said of itself at its last start, also while it is restarting.
        self.info: messages.Ready | None = None
        #: Why no child can start; None when one did last.
        self.problem: EngineUnavailable | None = None

    @property
    def state(self) -> EngineState:
        """Whether tasks are taken."""
        if self.is_ready:
            return EngineState.READY
        return EngineState.STARTING if self.problem is None else EngineState.UNAVAILABLE

    @property
    def is_ready(self) -> bool:
        """Whether a child takes tasks now."""
        return self._ready.is_set()

    @property
    def child(self) -> ChildProcess | None:
        """The child that takes tasks now, if there is one."""
        return self._life.child if self._life is not None and self.is_ready else None

    @property
    def pid(self) -> int | None:
        """Process id of the living child."""
        return self._life.child.pid if self._life and self._life.child.is_alive else None

    async def stop(self) -> None:
        """End the child: ask, then kill."""
        self._stopping = True
        if self._life is not None and self._life.child.is_alive:
            await self._life.child.send(messages.Shutdown())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self.loop.ended()
        await self.loop.stop()  # kills what is still there
        self.problem = EngineUnavailable("the server is stopping")
        self._settled.set()

    def kill(self) -> None:
        """Kill the living child; a new one follows."""
        self._not_ready()
        if self._life is not None:
            self._life.child.kill()

    async def until_ready(self) -> None:
        """Wait for a child that takes tasks, however long that takes."""
        await self._ready.wait()

    async def wait_ready(self) -> messages.Ready:
        """Wait for a child that takes tasks, as long as it is not known that none can start.

        Raises:
            EngineUnavailable: none can; the message says why.
        """
        await self._settled.wait()
        if self.problem is not None:
            raise type(self.problem)(self.problem.message)
        assert self.info is not None
        return self.info

    # ------------------------------------------------------------------ one child after another

    async def _run(self) -> None:
        while not self._stopping:
            began_at = time.monotonic()
            was_ready = await self._live_once()
            if self._stopping:
                return
            pause = self._backoff.after(time.monotonic() - began_at if was_ready else 0.0)
            await asyncio.sleep(min(pause, _LONGEST_PAUSE_AFTER_WORK_SECONDS) if was_ready else pause)
            self.restarts += 1

    async def _live_once(self) -> bool:
        """One child from launch to exit; whether it became ready."""
        try:
            child = await ChildProcess.launch(self._command, self._environment)
        except OSError as error:
            self._cannot_start(EngineUnavailable(f"the engine cannot start: {error}"))
            return False
        life = self._life = _Life(child, time.monotonic())
        watch = asyncio.create_task(self._watch(life), name="engine-watch")
        try:
            while (report := await child.read()) is not None:
                self._heard(life, report)
        except BaseException:
            child.kill()
            raise
        finally:
            self._not_ready()
            watch.cancel()
            ending = await child.wait()
            self.loaded = ()
            self.memory_bytes = 0
        if not self._stopping:
            self._died(life, ending)
        return life.was_ready

    def _heard(self, life: _Life, report: messages.Report) -> None:
        life.heard_at = time.monotonic()
        match report:
            case messages.Pong(memory_bytes=memory_bytes, loaded=loaded):
                self.memory_bytes, self.loaded = memory_bytes, loaded
                return
            case messages.Ready():
                self.info = report
                life.refusal = self._refusal(report)
                if life.refusal:
                    life.child.kill()
                    return
                life.was_ready = True
                self.problem = None
                self._ready.set()
                self._settled.set()
                log.info("engine ready", version=report.version, commit=report.commit, soft_cancel=report.soft_cancel)
            case messages.ContextChanged(memory_bytes=memory_bytes):
                self.memory_bytes = memory_bytes
            case _:
                pass
        try:
            self._on_report(report)
        except Exception:
            log.exception("a report of the engine was not handled", report=type(report).__name__)

    def _died(self, life: _Life, ending: str) -> None:
        words = tuple(life.child.last_words)
        if life.refusal:
            self._cannot_start(BackendMissing(life.refusal))
        elif not life.was_ready:
            why = f"{words[-1]} ({ending})" if words else ending
            self._cannot_start(EngineUnavailable(f"the engine cannot start: {why}"))
        else:
            log.warning("engine died", ending=ending, last_words=words[-5:])
            death = EngineDied(f"the engine process ended ({ending})", ending=ending)
            death.log_tail = words
            try:
                self._on_death(death)
            except Exception:
                log.exception("the end of the engine was not handled")

    def _not_ready(self) -> None:
        self._ready.clear()
        if self.problem is None:
            self._settled.clear()

    def _cannot_start(self, problem: EngineUnavailable) -> None:
        if self.problem is None or self.problem.message != problem.message:
            log.error("engine unavailable: jobs wait", problem=problem.message)
        self.problem = problem
        self._settled.set()

    async def _watch(self, life: _Life) -> None:
        number = 0
        while life.child.is_alive:
            await asyncio.sleep(self._ping_seconds)
            number += 1
            await life.child.send(messages.Ping(number=number))
            silence = time.monotonic() - life.heard_at
            if silence > (self._hang_seconds if life.was_ready else self._start_seconds):
                log.error("engine hangs", silence_seconds=round(silence, 1))
                life.child.last_words.append(f"no sign of life for {silence:.0f} s: killed")
                life.child.kill()
                return
