"""Serving the official package's ASGI application from an aiohttp route.

Only what one HTTP exchange needs is translated: the request's head and body in one way, the reply's head and parts in the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Final

from aiohttp import web
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from sdrest.core.principal import Permission
from sdrest.web.access import requires
from sdrest.web.dialects.submit import LooseBody
from sdrest.web.keys import SETTINGS
from sdrest.web.mcp.tools import REQUEST, make_server
from sdrest.web.operations import Reply, operation

PATH: Final = "/mcp"
Message = MutableMapping[str, Any]


class Bridge:
    """The handler of the route, and the package's session manager behind it."""

    def __init__(self, max_body_bytes: int) -> None:
        self._manager = StreamableHTTPSessionManager(
            make_server()._lowlevel_server,  # noqa: SLF001 - MCPServer offers no other way to its ASGI side
            # Without sessions every request stands for itself and is made by the caller that this request shows.
            stateless=True,
            # Host and Origin are checked for all routes alike.
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=max_body_bytes,
        )

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """For ``cleanup_ctx``: the manager's task group lives in a task of its own, as it must be left where it was entered."""
        started, stop = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with self._manager.run():
                started.set()
                await stop.wait()

        holder = asyncio.create_task(hold(), name="mcp")
        await started.wait()
        yield
        stop.set()
        await holder

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One exchange."""
        REQUEST.set(request)
        reply = _Reply(request)
        with contextlib.suppress(ConnectionResetError):  # the client went away; its job goes on
            await self._manager.handle_request(_scope(request), _Receive(request), reply.send)
        return reply.response or web.Response(status=500)


def _scope(request: web.Request) -> dict[str, Any]:
    """The ASGI scope of a request."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": f"{request.version.major}.{request.version.minor}",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.rel_url.raw_path.encode(),
        "query_string": request.rel_url.raw_query_string.encode(),
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": peer[:2] if isinstance(peer, tuple) else None,
        "server": None,
    }


class _Receive:
    """The body, then, when the client goes away, the news of it."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._body_sent = False

    async def __call__(self) -> Message:
        if not self._body_sent:
            self._body_sent = True
            return {"type": "http.request", "body": await self._request.read(), "more_body": False}
        # aiohttp tells of a lost connection when something is written; nobody is told sooner.
        await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}


class _Reply:
    """Sends what the application says."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response: web.StreamResponse | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.response = web.StreamResponse(status=message["status"])
            for name, value in message.get("headers", ()):
                self.response.headers.add(name.decode("latin-1"), value.decode("latin-1"))
            await self.response.prepare(self._request)
        elif self.response is not None:
            if body := message.get("body", b""):
                await self.response.write(body)
            if not message.get("more_body", False):
                await self.response.write_eof()


def add_mcp(app: web.Application) -> None:
    """Add the route to ``app``."""
    bridge = Bridge(app[SETTINGS].max_body_bytes)

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
        return await bridge.handle(request)

    app.router.add_post(PATH, mcp)
    app.cleanup_ctx.append(bridge.run)
