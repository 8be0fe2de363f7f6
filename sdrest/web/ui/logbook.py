"""The last log lines of the server, for the System page."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp_sse import sse_response

from sdrest.core.principal import Permission
from sdrest.web.http.access import requires

_KEPT: Final = 400
_BACKLOG: Final = 200
_FIRST: Final = ("timestamp", "level", "event")


class Logbook:
    """A structlog processor that keeps lines and hands them to readers."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT)
        #: Queues of those who follow; None ends them.
        self._readers: set[asyncio.Queue[str | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """See structlog: keep the line, pass the event on."""
        rest = " ".join(f"{name}={value}" for name, value in event.items() if name not in {*_FIRST, "exception"})
        time, level = str(event.get("timestamp", ""))[:19].replace("T", " "), str(event.get("level", ""))
        line = f"{time} {level:<7} {event.get('event', '')} {rest}".rstrip()
        self.lines.append(line)
        if self._loop is not None and self._readers:
            self._loop.call_soon_threadsafe(self._hand_out, line)
        return event

    def _hand_out(self, line: str | None) -> None:
        for reader in self._readers:
            if not reader.full():
                reader.put_nowait(line)

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Listen while the application runs (a ``cleanup_ctx``).

        The list of processors is changed in place: loggers that have been used already hold on to it.
        """
        self._loop = asyncio.get_running_loop()
        processors = structlog.get_config()["processors"]
        processors.insert(len(processors) - 1, self)
        yield
        processors.remove(self)

    async def end(self, _app: web.Application) -> None:
        """Let everybody who follows go (an ``on_shutdown`` handler)."""
        self._hand_out(None)

    @requires(Permission.ADMIN)
    async def events(self, request: web.Request) -> web.StreamResponse:
        """Log lines as they are written, as Server-Sent Events."""
        mine: asyncio.Queue[str | None] = asyncio.Queue(_BACKLOG)
        self._readers.add(mine)
        try:
            async with sse_response(request) as stream:
                while stream.is_connected() and (line := await mine.get()) is not None:
                    await stream.send(line)
                return stream
        finally:
            self._readers.discard(mine)


LOGBOOK: Final = web.AppKey("logbook", Logbook)
