"""The route of the Model Context Protocol. What answers it is loaded when the first message comes.

The official package takes half a second of processor time and some 40 MiB, which a server that nobody talks to in this way need
not spend at its start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from sdrest.core.principal import Permission
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import LooseBody
from sdrest.web.http.keys import SETTINGS
from sdrest.web.http.operations import Reply, operation

if TYPE_CHECKING:
    from sdrest.web.dialects.mcp.bridge import Bridge

PATH: Final = "/mcp"


class LateBridge:
    """The bridge, from the first call of :meth:`get` on."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._bridge: Bridge | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Bridge:
        """The running bridge."""
        async with self._lock:
            if self._bridge is None:
                bridge = await asyncio.to_thread(_load, self._max_body_bytes)
                await bridge.start()
                self._bridge = bridge
        return self._bridge

    async def stop_at_end(self, _app: web.Application) -> AsyncIterator[None]:
        """For ``cleanup_ctx``."""
        yield
        if self._bridge is not None:
            await self._bridge.stop()


def _load(max_body_bytes: int) -> Bridge:
    from sdrest.web.dialects.mcp.bridge import Bridge  # noqa: PLC0415 - that it comes late is what this module is for

    return Bridge(max_body_bytes)


def add_mcp(app: web.Application) -> None:
    """Add the route to ``app``."""
    late = LateBridge(app[SETTINGS].max_body_bytes)

    @operation(
        "MCP",
        reply=Reply(None, "text/event-stream", "JSON-RPC answers as events, or as JSON"),
        also={202: None},
        body=LooseBody,
        errors=(406, 413, 415),
        error_schema=dict[str, Any],
    )
    @requires(Permission.VIEW)
    async def mcp(request: web.Request) -> web.StreamResponse:
        """The Model Context Protocol (streamable HTTP)."""
        return await (await late.get()).handle(request)

    app.router.add_post(PATH, mcp)
    app.cleanup_ctx.append(late.stop_at_end)
