"""Work that goes on beside the requests for as long as the server runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum

from sdrest.core.backoff import Backoff
from sdrest.core.errors import SdrestError

log = logging.getLogger(__name__)


class LoopState(StrEnum):
    """What a loop does at the moment."""

    STOPPED = "stopped"
    RUNNING = "running"
    #: It has failed and begins again after a pause.
    RESTARTING = "restarting"
    #: It returned: there is nothing for it to do.
    DONE = "done"


class Background:
    """One loop that nothing but :meth:`stop` ends: what it raises is logged with its trace, and it begins again after a pause.

    Args:
        name: What it is called in logs, ``/api/health`` and ``/metrics``.
        run: The loop. It returns only when there is nothing (more) to do.
        backoff: The pauses before it begins again.
        clock: Seconds from any origin.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._run = run
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._state = LoopState.RUNNING
        self.restarts = 0
        #: What it last failed of, in words that tell nothing of what it worked on; empty when it never did.
        self.last_error = ""
        self.failed_at: datetime | None = None

    @property
    def state(self) -> LoopState:
        """What it does at the moment."""
        if self._task is None or (self._task.done() and self._state is not LoopState.DONE):
            return LoopState.STOPPED
        return self._state

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or will again by itself."""
        return self.state in {LoopState.RUNNING, LoopState.RESTARTING}

    def start(self) -> None:
        """Begin; again is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_running(), name=self.name)

    async def stop(self) -> None:
        """End it, and wait until it has cleaned up after itself; harmless when it never began."""
        if self._task is not None:
            self._task.cancel()
            await self.ended()

    async def ended(self) -> None:
        """Wait for its end; at once when it never began."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _keep_running(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            began_at = self._clock()
            try:
                await self._run()
            except (Exception, asyncio.CancelledError) as error:
                if task.cancelling():
                    if isinstance(error, Exception):
                        log.exception("%s failed while it was stopped", self.name)
                    return
                # Else a cancellation of something that it waited for, which is a failure like any other.
                log.exception("%s failed and begins again", self.name)
                self._failed(error)
            else:
                self._state = LoopState.DONE
                return
            await asyncio.sleep(self._backoff.after(self._clock() - began_at))
            self.restarts += 1
            self._state = LoopState.RUNNING

    def _failed(self, error: BaseException) -> None:
        self._state = LoopState.RESTARTING
        self.last_error = _in_words(error)
        self.failed_at = datetime.now(UTC)


class Backgrounds:
    """The loops of one server, in the order in which they began."""

    def __init__(self) -> None:
        self._loops: list[Background] = []

    def __iter__(self) -> Iterator[Background]:
        return iter(self._loops)

    def add(self, loop: Background) -> None:
        """Make a loop known that somebody else starts and stops."""
        self._loops.append(loop)

    @asynccontextmanager
    async def running(self, *loops: Background) -> AsyncIterator[None]:
        """Run ``loops`` for the length of the block; they end in the opposite order."""
        for loop in loops:
            self.add(loop)
            loop.start()
        try:
            yield
        finally:
            for loop in reversed(loops):
                await loop.stop()


def _in_words(error: BaseException) -> str:
    """The kind of an error, and its text where that is made for everybody to read."""
    if isinstance(error, BaseExceptionGroup):  # of a loop that does several things at a time
        return ", ".join(map(_in_words, error.exceptions))
    kind = type(error).__name__
    if isinstance(error, SdrestError):
        return f"{kind}: {error.message}"
    if isinstance(error, OSError) and error.strerror:
        return f"{kind}: {error.strerror}"
    return kind
