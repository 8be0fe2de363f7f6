"""Keeping one engine child alive: start, watch, restart with growing pauses, never give the server up.

Alive means running *and* answering: the child's main thread answers a ping whatever the native thread does, so a child that is
silent for ``hang_seconds`` is stopped or stuck and gets killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import structlog

from sdrest.core.errors import EngineDied, Unavailable
from sdrest.engine import messages
from sdrest.engine.process import ChildProcess

log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 30.0
#: A child that lived this long has shown that it can start: the pause begins anew.
_STABLE_SECONDS: Final = 10.0
_START_SECONDS: Final = 60.0
_PING_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 2.0


class Supervisor:
    """Owns the engine child and its restarts.

    ``on_report`` gets every report but pings; ``on_death`` is called with the last words when a child has ended unasked.
    """

    def __init__(
        self,
        on_report: Callable[[messages.Report], None],
        on_death: Callable[[EngineDied], None],
        *,
        hang_seconds: float,
    ) -> None:
        self._on_report = on_report
        self._on_death = on_death
        self._hang_seconds = hang_seconds
        self._child: ChildProcess | None = None
        self._ready = asyncio.Event()
        self._info: messages.Ready | None = None
        self._runner: asyncio.Task[None] | None = None
        self._stopping = False
        self._was_ready = False
        self._pong_at = 0.0
        self.restarts = 0
        self.memory_bytes = 0
        self.loaded: tuple[str, ...] = ()
        #: Why the last start failed; empty when it did not.
        self.start_problem = ""

    @property
    def info(self) -> messages.Ready | None:
        """What the library said of itself at its last start, also while it is restarting."""
        return self._info

    @property
    def is_ready(self) -> bool:
        """Whether a child takes tasks now."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """Process id of the living child."""
        return self._child.pid if self._child and self._child.is_alive else None

    def start(self) -> None:
        """Begin to keep a child alive; again is harmless."""
        self._runner = self._runner or asyncio.create_task(self._run(), name="engine-supervisor")

    async def stop(self) -> None:
        """End the child: ask, then kill."""
        self._stopping = True
        child = self._child
        if child is not None and child.is_alive and self._runner is not None:
            await child.send(messages.Shutdown())
            try:
                await asyncio.wait_for(asyncio.shield(self._runner), _STOP_SECONDS)
            except TimeoutError:
                child.kill()
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner

    def kill(self) -> None:
        """Kill the living child; a new one follows."""
        self._ready.clear()
        if self._child is not None:
            self._child.kill()

    async def send(self, command: messages.Command) -> None:
        """Send to the living child; dropped when there is none."""
        if self._child is not None and self.is_ready:
            await self._child.send(command)

    async def wait_ready(self, timeout_seconds: float = _START_SECONDS) -> messages.Ready:
        """Wait for a child that takes tasks.

        Raises:
            Unavailable: none started in time; the message says why.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._ready.wait()
        except TimeoutError:
            raise Unavailable(f"the engine does not start: {self.start_problem or 'no answer'}") from None
        assert self._info is not None
        return self._info

    async def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping:
            started_at = time.monotonic()
            was_ready = await self._live_once()
            if self._stopping:
                return
            lived = time.monotonic() - started_at
            pause = (
                _FIRST_PAUSE_SECONDS
                if was_ready and lived > _STABLE_SECONDS
                else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            )
            self.restarts += 1
            await asyncio.sleep(pause if not was_ready else min(pause, 1.0))

    async def _live_once(self) -> bool:
        """One child from launch to exit; whether it became ready."""
        try:
            child = self._child = await ChildProcess.launch()
        except OSError as error:
            self.start_problem = f"cannot start a process: {error}"
            log.error("engine cannot start", problem=self.start_problem)
            return False
        self._pong_at = time.monotonic()
        self._was_ready = False
        watch = asyncio.create_task(self._watch(child), name="engine-watch")
        try:
            while (report := await child.read()) is not None:
                self._heard(report)
            child.kill()  # it closed its end: whatever it still does, it is of no use
        finally:
            self._ready.clear()
            watch.cancel()
            if child.is_alive:
                child.kill()
            ending = await child.wait()
            self.loaded = ()
            self.memory_bytes = 0
        if not self._stopping:
            words = tuple(child.last_words)
            self.start_problem = f"{ending}: {words[-1]}" if words else ending
            log.warning("engine died", ending=ending, last_words=words[-5:])
            death = EngineDied(f"the engine process ended ({ending})", ending=ending)
            death.log_tail = words
            self._on_death(death)
        return self._was_ready

    def _heard(self, report: messages.Report) -> None:
        self._pong_at = time.monotonic()
        match report:
            case messages.Pong(memory_bytes=memory_bytes, loaded=loaded):
                self.memory_bytes, self.loaded = memory_bytes, loaded
                return
            case messages.Ready():
                self._info = report
                self.start_problem = ""
                self._was_ready = True
                self._ready.set()
                log.info("engine ready", version=report.version, commit=report.commit, soft_cancel=report.soft_cancel)
            case messages.ContextChanged(memory_bytes=memory_bytes):
                self.memory_bytes = memory_bytes
            case _:
                pass
        self._on_report(report)

    async def _watch(self, child: ChildProcess) -> None:
        number = 0
        while child.is_alive:
            await asyncio.sleep(_PING_SECONDS)
            number += 1
            await child.send(messages.Ping(number=number))
            silence = time.monotonic() - self._pong_at
            if silence > self._hang_seconds:
                log.error("engine hangs", silence_seconds=round(silence, 1))
                child.last_words.append(f"no sign of life for {silence:.0f} s: killed")
                child.kill()
                return
