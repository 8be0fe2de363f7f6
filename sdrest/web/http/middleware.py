"""What happens to every request: an id, a log line, a principal, safety checks."""

from __future__ import annotations

import ipaddress
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import hdrs, web

from sdrest.core.errors import Forbidden
from sdrest.core.principal import NOBODY
from sdrest.web.http.keys import HELD, PRINCIPAL, REQUEST_ID, ROOMS, SETTINGS
from sdrest.web.http.room import Held

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


@web.middleware
async def request_context(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, log it when it is done, and take back the room that it held."""
    request[REQUEST_ID] = uuid.uuid4().hex
    held = request[HELD] = Held(request.app[ROOMS])
    request[PRINCIPAL] = NOBODY
    started_at = time.monotonic()
    with structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID]):
        try:
            response = await handler(request)
        finally:
            held.give_back()
        milliseconds = round(1000 * (time.monotonic() - started_at), 1)
        log.debug(
            "request", method=request.method, path=request.path, status=response.status, milliseconds=milliseconds
        )
    return response


@web.middleware
async def known_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse host names that are not ours: a web page elsewhere must not reach a local server by DNS rebinding.

    IP addresses are always fine (no name, no rebinding), as are localhost names, the configured host and ``allowed_hosts``.
    """
    name, settings = _host_name(request.host), request.app[SETTINGS]
    known = {*_LOCAL_NAMES, settings.host, *(host.lower() for host in settings.allowed_hosts)}
    if not known & {name, "*"} and not _is_address(name):
        raise Forbidden(f"the host name {name!r} is not known to this server; add it to the setting allowed_hosts")
    return await handler(request)


def _host_name(host: str) -> str:
    """The name in a Host header, without the port and the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


_CAREFUL: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Replies of the API are data: whatever a browser makes of one, it runs nothing. Pages set a policy of their own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, X-API-Key"
_SHOWN_HEADERS: Final = "Location, Retry-After, X-Job-Id, X-Request-Id"
_PREFLIGHT_SECONDS: Final = "600"


def set_up_headers(app: web.Application) -> None:
    """Put the headers on every response of ``app``, streams and files included."""
    app.on_response_prepare.append(_add_headers)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    if REQUEST_ID in request:
        response.headers.setdefault("X-Request-Id", request[REQUEST_ID])
    origin = allowed_origin(request)
    if origin is not None:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _SHOWN_HEADERS
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if request.app[SETTINGS].cors_origins:
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    for name, value in _CAREFUL.items():
        response.headers.setdefault(name, value)


def allowed_origin(request: web.Request) -> str | None:
    """What ``Access-Control-Allow-Origin`` says; None when the page that asks may not read the reply.

    Credentials that the browser adds by itself are never allowed: a page sends a token or a key.
    """
    settings, origin = request.app[SETTINGS], request.headers.get(hdrs.ORIGIN)
    if origin is not None and origin in settings.cors_origins:
        return origin
    return "*" if settings.cors and origin is not None else None


@web.middleware
async def answer_preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a browser that asks whether a page of another origin may send a request (CORS preflight)."""
    asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    if not asks or allowed_origin(request) is None:
        return await handler(request)
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _REQUEST_HEADERS,
        hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_SECONDS,
    }
    return web.Response(status=204, headers=headers)
