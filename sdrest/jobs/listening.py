"""Following the events of all jobs in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from sdrest.core.background import Background
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
        self.loop = Background(name, self._listen)

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
