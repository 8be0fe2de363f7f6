"""Large files from other servers: as guarded as pictures are (see :mod:`sdrest.net.fetching`), and only from chosen hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from sdrest.core.errors import InvalidInput, Unavailable
from sdrest.net.fetching import MAX_REDIRECTS, REDIRECTS, Guard, NotFetched, guarded_session, parse_url, reason_of

_CHUNK_BYTES: Final = 256 * 1024


class Streams:
    """Opens URLs of the hosts that the administrator has chosen.

    Args:
        guard: Keeps connections out of private networks.
        hosts: ``host``, ``host:port``, or ``*.suffix`` for every host below one; ``*`` for any.
        silence_seconds: Time without a byte after which a connection is given up.
    """

    def __init__(self, guard: Guard, hosts: Collection[str], *, silence_seconds: float) -> None:
        self._guard = guard
        self._hosts = frozenset(host.lower() for host in hosts)
        self._silence_seconds = silence_seconds

    def check(self, text: str) -> None:
        """Do nothing for a URL that may be opened; names are resolved only when they are.

        Raises:
            InvalidInput: it may not; names the field ``source``.
        """
        try:
            self._check(parse_url(text))
        except NotFetched as refusal:
            raise InvalidInput(str(refusal), field="source") from None

    @asynccontextmanager
    async def open(self, text: str, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        """The answer to a request; see :data:`sdrest.net.streaming.Open`. Redirects are checked like addresses."""
        try:
            async with guarded_session(self._guard, silence_seconds=self._silence_seconds) as session:
                first = url = parse_url(text)
                for _ in range(MAX_REDIRECTS + 1):
                    self._check(url)
                    sent = dict(headers) if url.origin() == first.origin() else _without_secrets(headers)
                    async with session.get(url, headers=sent, allow_redirects=False, auto_decompress=False) as found:
                        if found.status in REDIRECTS and "Location" in found.headers:
                            url = url.join(parse_url(found.headers["Location"]))
                            continue
                        yield Answer(found.status, found.headers, str(url), _chunks(found))
                        return
                raise NotFetched(f"more than {MAX_REDIRECTS} redirects")
        except NotFetched as refusal:
            raise InvalidInput(str(refusal), field="source") from None
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise Unavailable(f"no connection: {reason_of(error)}") from None

    def _check(self, url: URL) -> None:
        self._guard.check(url)
        host = (url.host or "").lower()
        names = {"*", host, f"{host}:{url.port}"}
        parts = host.split(".")
        names |= {"*." + ".".join(parts[i:]) for i in range(1, len(parts))}
        if not names & self._hosts:
            raise NotFetched(f"{host} is not among the hosts that models may come from (setting download_hosts)")


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            yield chunk
    except (aiohttp.ClientError, OSError) as error:
        raise Unavailable(f"the connection broke: {reason_of(error)}") from None


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "authorization"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request, after all redirects.

    ``headers`` are to be asked by their usual names, whatever their case was; ``chunks`` gives the body once, and raises
    ``Unavailable`` when the connection breaks.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    chunks: AsyncIterator[bytes]


#: Opens a URL with headers, of which ``Authorization`` is told only to the URL's own host and port. Raises ``InvalidInput``
#: (field ``source``) for an address that may not be reached, ``Unavailable`` when there is no answer.
Open = Callable[[str, Mapping[str, str]], AbstractAsyncContextManager[Answer]]
