"""Following the events of all jobs in the background."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from sdrest.core.events import Event
from sdrest.jobs.broadcast import Broadcast

log = structlog.get_logger(__name__)

_PAUSE_SECONDS: Final = 1.0


class Listener:
    """Hands events to ``heard``, one after another; an error in it costs that one event."""

    def __init__(
        self,
        name: str,
        broadcast: Broadcast,
        heard: Callable[[Event], Awaitable[None]],
        accepts: Callable[[Event], bool] = lambda _event: True,
    ) -> None:
        self._name = name
        self._broadcast = broadcast
        self._heard = heard
        self._accepts = accepts
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen(), name=self._name)

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while True:
            events = self._broadcast.subscribe(self._accepts)
            try:
                async for event in events:
                    try:
                        await self._heard(event)
                    except Exception:
                        log.exception("an event was not handled", listener=self._name)
            finally:
                self._broadcast.unsubscribe(events)
            # Too far behind and dropped, or the server is stopping.
            await asyncio.sleep(_PAUSE_SECONDS)
