"""Requests that the server makes for its clients, kept away from the networks that only the server can reach (SSRF).

Every address that a name resolves to is judged at the moment of connecting, and the connection goes to that very address: a name
that answers differently the second time (DNS rebinding) gains nothing. Redirects are followed one by one, each judged again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from sdrest.core.errors import InvalidInput, TooLarge

MAX_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES: Final = 64 * 1024
_CONNECT_SECONDS: Final = 10.0
#: IPv6 prefixes that stand for IPv4 addresses: NAT64 (RFC 6052) and 6to4 (RFC 3056).
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_6TO4: Final = ipaddress.ip_network("2002::/16")


class NotFetched(Exception):
    """The URL is not fetched; the text says why."""


def is_public_address(text: str) -> bool:
    """Whether an IP address belongs to the public internet: not private, loopback, link-local, multicast, reserved, metadata."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public_address(str(address.ipv4_mapped))
        if address in _NAT64:
            return is_public_address(str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)))
        if address in _6TO4:
            return is_public_address(str(ipaddress.IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)))
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


class Guard(AbstractResolver):
    """Resolves names for outgoing connections and refuses addresses that are not public.

    ``allowed`` are hosts, or ``host:port`` pairs, that may be reached wherever they lie.
    """

    def __init__(self, allowed: Collection[str] = (), resolver: AbstractResolver | None = None) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)
        self._resolver = resolver

    def also_allowing(self, url: str, *, field: str) -> Guard:
        """A guard that lets the host and port of ``url`` through as well: an address that the administrator has chosen.

        Raises:
            InvalidInput: it is no URL; names ``field``, where it was chosen.
        """
        try:
            parsed = parse_url(url)
        except NotFetched as refusal:
            raise InvalidInput(str(refusal), field=field) from None
        return Guard((*self._allowed, f"{parsed.host}:{parsed.port}"), self._resolver)

    def is_allowed(self, host: str, port: int) -> bool:
        """Whether a host may be reached whatever its address is."""
        return host.lower() in self._allowed or f"{host}:{port}".lower() in self._allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The public addresses of ``host``.

        Raises:
            NotFetched: it has none, or is no name.
            OSError: it cannot be resolved.
        """
        resolver = self._resolver or ThreadedResolver()
        try:
            found = await resolver.resolve(host, port, family)
        except UnicodeError:  # a part that is empty, or longer than 63 letters
            raise NotFetched(f"{host[:100]} is no name of a host") from None
        if self.is_allowed(host, port):
            return found
        public = [item for item in found if is_public_address(item["host"])]
        if not public:
            raise NotFetched(f"{host} lies in a private network; see the setting fetch_allowed_hosts")
        return public

    async def close(self) -> None:
        """Nothing is held."""

    def check(self, url: URL) -> None:
        """Refuse what no resolver sees: other schemes, and addresses written as numbers.

        Raises:
            NotFetched: with the reason.
        """
        host, port = url.host, url.port
        if url.scheme not in {"http", "https"} or not host or port is None:
            raise NotFetched("only http and https addresses are fetched")
        if url.user is not None or url.password is not None:
            raise NotFetched("a URL with a user name is not fetched")
        if self.is_allowed(host, port):
            return
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return
        if not is_public_address(host):
            raise NotFetched(f"{host} lies in a private network; see the setting fetch_allowed_hosts")


class WebhookGuard:
    """Says which addresses jobs may name as webhooks: ``hosts`` when there are any, else every public one."""

    def __init__(self, guard: Guard, hosts: Collection[str]) -> None:
        self._guard = guard
        self._hosts = frozenset(host.lower() for host in hosts)

    def check(self, text: str) -> None:
        """Do nothing for an address that may be used.

        Raises:
            InvalidInput: it may not.
        """
        try:
            url = parse_url(text)
            self._guard.check(url)
            if self._hosts and (url.host or "").lower() not in self._hosts:
                raise NotFetched(f"{url.host} is not among the hosts of the setting webhook_hosts")
        except NotFetched as refusal:
            raise InvalidInput(str(refusal), field="webhook_url") from None


@asynccontextmanager
async def guarded_session(
    guard: Guard, *, silence_seconds: float | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections through ``guard``: no proxies, no cookies, nothing compressed; broken off after ``silence_seconds``."""
    connector = aiohttp.TCPConnector(resolver=guard, use_dns_cache=False, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence_seconds)
    headers = {"User-Agent": "sdrest", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, trust_env=False, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL gave."""

    data: bytes
    media_type: str


class Fetcher:
    """Gets files from and posts messages to URLs that clients name."""

    def __init__(self, guard: Guard, *, max_bytes: int, timeout_seconds: float) -> None:
        self._guard = guard
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds

    async def fetch(self, text: str, *, field: str) -> Fetched:
        """The file at a URL.

        Raises:
            InvalidInput: it cannot be had; names ``field``.
            TooLarge: it is larger than the limit.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds), guarded_session(self._guard) as session:
                return await self._follow(session, parse_url(text))
        except TimeoutError:
            message = f"no answer within {self._timeout_seconds:g} s"
        except NotFetched as refusal:
            message = str(refusal)
        except aiohttp.ClientError as error:
            message = f"cannot be fetched: {reason_of(error)}"
        raise InvalidInput(message, field=field)

    async def post(self, text: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post ``body`` and return the status of the answer; redirects are not followed.

        Raises:
            OSError: the receiver cannot be reached, or must not be.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds), guarded_session(self._guard) as session:
                url = parse_url(text)
                self._guard.check(url)
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    return response.status
        except (NotFetched, aiohttp.ClientError) as error:
            raise OSError(reason_of(error)) from error

    async def _follow(self, session: aiohttp.ClientSession, url: URL) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            self._guard.check(url)
            async with session.get(url, allow_redirects=False, auto_decompress=False) as response:
                if response.status in REDIRECTS and "Location" in response.headers:
                    url = url.join(parse_url(response.headers["Location"]))
                    continue
                if response.status != 200:
                    raise NotFetched(f"the answer was {response.status} {response.reason or ''}".strip())
                return Fetched(await self._read(response), response.content_type)
        raise NotFetched(f"more than {MAX_REDIRECTS} redirects")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            data += chunk
            if len(data) > self._max_bytes:
                raise TooLarge(f"the file at {response.url.host} is larger than {self._max_bytes} bytes")
        return bytes(data)


def parse_url(text: str) -> URL:
    """A URL. Raises :class:`NotFetched` when it is none."""
    try:
        return URL(text)
    except ValueError as error:
        raise NotFetched(f"not a URL: {error}") from None


def reason_of(error: Exception) -> str:
    """The sentence of the error at the bottom: aiohttp wraps what the resolver raised."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error) or type(error).__name__
