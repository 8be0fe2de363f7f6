"""Behind reverse proxies: who really asks, by which scheme and under which name, as the proxies say that are trusted.

Each proxy appends to ``X-Forwarded-For`` the address that it was asked from. So the list is read from its end, as far as the
addresses are those of trusted proxies: the first other one is the client, and what stands before it anybody may have written. What
comes from elsewhere, and ``Forwarded``, which many proxies pass on as a client sends it, is not looked at.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sdrest.core.errors import InvalidInput
from sdrest.web.http.keys import REQUEST_ID

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_FOR: Final = "X-Forwarded-For"
_PROTO: Final = "X-Forwarded-Proto"
_HOST: Final = "X-Forwarded-Host"
_SCHEMES: Final = frozenset({"http", "https"})


class TrustedProxies:
    """The proxies whose word is taken, by address or network (``10.0.0.0/8``).

    Raises:
        InvalidInput: one is neither.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._networks = [_network(name) for name in names]

    def middleware(self) -> Middleware:
        """What comes before all that looks at the request's address, scheme or host."""

        @web.middleware
        async def as_forwarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            changes = self._told(request) if self._networks else {}
            if not changes:
                return await handler(request)
            seen = request.clone(**changes)
            try:
                return await handler(seen)
            finally:
                if REQUEST_ID in seen:  # the reply's headers are made for the request as it came
                    request[REQUEST_ID] = seen[REQUEST_ID]

        return as_forwarded

    def _told(self, request: web.Request) -> dict[str, Any]:
        """What the proxy says that the request came through; nothing when it came through none that is trusted."""
        peer = _address(request.remote or "")
        if peer is None or not self._trusts(peer):
            return {}
        changes: dict[str, Any] = {}
        client = self._client(_items(request, _FOR))
        if client is not None:
            changes["remote"] = str(client)
        scheme = _items(request, _PROTO)[-1:]
        if scheme and scheme[0].lower() in _SCHEMES:
            changes["scheme"] = scheme[0].lower()
        host = _items(request, _HOST)[-1:]
        if host:
            changes["host"] = host[0]
        return changes

    def _client(self, chain: list[str]) -> Address | None:
        """The last address that is none of a trusted proxy; the first of all where there are only such."""
        client = None
        for text in reversed(chain):
            address = _address(text)
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return client

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _network(name: str) -> Network:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        raise InvalidInput(
            f"{name!r} is neither an IP address nor a network like 10.0.0.0/8", field="trusted_proxies"
        ) from None


def _items(request: web.Request, name: str) -> list[str]:
    """The items of a header that is a list, whether it is sent once or several times."""
    return [item.strip() for line in request.headers.getall(name, ()) for item in line.split(",") if item.strip()]


def _address(text: str) -> Address | None:
    """An IP address, also with a port or in brackets; one of IPv4 within IPv6 is one of IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
