"""What happens to every request: an id, a log line, a principal, safety checks."""

from __future__ import annotations

import ipaddress
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from sdrest.core.errors import Forbidden
from sdrest.core.principal import NOBODY
from sdrest.web.keys import HELD, PRINCIPAL, REQUEST_ID, ROOMS, SETTINGS
from sdrest.web.room import Held

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
