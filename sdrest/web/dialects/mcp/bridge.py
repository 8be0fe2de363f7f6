"""Serving the official package's ASGI application from an aiohttp route.

Only what one HTTP exchange needs is translated: the request's head and body in one way, the reply's head and parts in the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import MutableMapping
from typing import Any

from aiohttp import web
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from sdrest.web.dialects.mcp.tools import REQUEST, make_server
from sdrest.web.http.bodies import parse_json, read_bytes

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
        self._started, self._stopping = asyncio.Event(), asyncio.Event()
        self._holder: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve: the manager's task group lives in a task of its own, as it must be left where it was entered."""
        self._holder = asyncio.create_task(self._hold(), name="mcp")
        await self._started.wait()

    async def stop(self) -> None:
        """End it."""
        self._stopping.set()
        if self._holder is not None:
            await self._holder

    async def _hold(self) -> None:
        async with self._manager.run():
            self._started.set()
            await self._stopping.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One exchange.

        Raises:
            InvalidInput: the body is not JSON, or passes a bound; the package, which parses it again, has no bounds.
        """
        REQUEST.set(request)
        body = await read_bytes(request)
        await asyncio.to_thread(parse_json, body)
        reply = _Reply(request)
        with contextlib.suppress(ConnectionResetError):  # the client went away
            await self._manager.handle_request(_scope(request), _Receive(body), reply.send)
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

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._body_sent = False

    async def __call__(self) -> Message:
        if not self._body_sent:
            self._body_sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
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
