"""A worker's way to its server: one WebSocket, and files by HTTP that go on where they were broken off."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from sdrest.core.backoff import Backoff
from sdrest.core.errors import Forbidden, Gone, InvalidInput, NotFound, SdrestError, Unauthorized, Unavailable

_HEARTBEAT_SECONDS: Final = 15.0
_CHUNK_BYTES: Final = 1 << 18
#: Silence after which a transfer is given up and made anew. There is no bound on the whole: files are of any size.
_SILENCE_SECONDS: Final = 60.0
_MESSAGE_BYTES: Final = 64 << 20
_FATAL: Final[dict[int, type[SdrestError]]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 410: Gone}


def checked_address(text: str, *, has_token: bool) -> URL:
    """The address of a server, fit for a worker.

    Raises:
        InvalidInput: it is none; or it leads to another machine without encryption or without a token.
    """
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidInput("must be https://HOST, or http:// on this machine", field="connect")
    if not _is_local(url.host):
        if url.scheme != "https":
            raise InvalidInput(
                "must be https:// for another machine: the key would be read on the way", field="connect"
            )
        if not has_token:
            raise InvalidInput("is needed for a server on another machine", field="token_file")
    return url


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Link:
    """One connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: bytes) -> None:
        """Send a message.

        Raises:
            Unavailable: the connection is broken.
        """
        try:
            await self._socket.send_bytes(message)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Unavailable(f"the connection is broken: {error}") from error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """What comes, until the connection ends; raises as :meth:`send`."""
        while True:
            try:
                message = await self._socket.receive()
            except (aiohttp.ClientError, ConnectionError) as error:  # it answers pings by itself
                raise Unavailable(f"the connection is broken: {error}") from error
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            yield message.data


class Front:
    """The server at an address, or one of several that share a queue. Use it as a context.

    Args:
        urls: The addresses, checked. When a connection has ended, the next one is tried first.
        token: API key with the permission ``work``; empty for a server without authentication.
        ca_file: Certificates to trust in the place of the system's.
    """

    def __init__(self, urls: Sequence[URL], token: str, ca_file: Path | None = None) -> None:
        self._urls = deque(urls)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE_SECONDS, sock_read=_SILENCE_SECONDS)
        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=timeout, connector=aiohttp.TCPConnector(ssl=self._tls)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Link]:
        """A connection to the first server that answers, for the length of the block.

        Raises:
            Unauthorized, Forbidden, NotFound: the server refuses.
            Unavailable: none can be reached at the moment.
        """
        socket = await self._connect(len(self._urls) - 1)
        try:
            async with socket:
                yield Link(socket)
        finally:
            self._urls.rotate(-1)

    async def _connect(self, others: int) -> aiohttp.ClientWebSocketResponse:
        """A connection; ``others``: how many addresses are tried after this one."""
        assert self._session is not None
        try:
            return await self._session.ws_connect(
                self._urls[0] / "api/workers/connect",
                heartbeat=_HEARTBEAT_SECONDS,
                max_msg_size=_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=5.0),
            )
        except aiohttp.WSServerHandshakeError as error:
            problem: SdrestError = _FATAL.get(error.status, Unavailable)(f"the server answers {error.status}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            problem = Unavailable(f"the server cannot be reached: {error}")
        self._urls.rotate(-1)
        if others and isinstance(problem, Unavailable):
            return await self._connect(others - 1)
        raise problem

    async def download(self, path: str, target: Path, told: Callable[[int], None] = lambda _done: None) -> None:
        """Get a file, from where an earlier try has come to; ``told`` hears how many bytes are there.

        Raises:
            Gone, NotFound, Unauthorized, Forbidden: the server refuses.
            OSError: it cannot be written.
        """
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        await self._again(lambda: self._get(path, part, told))
        await asyncio.to_thread(part.replace, target)

    async def _get(self, path: str, part: Path, told: Callable[[int], None]) -> None:
        assert self._session is not None
        done = await asyncio.to_thread(_size, part)
        headers = {"Range": f"bytes={done}-"} if done else {}
        async with self._session.get(self._at(path), headers=headers) as reply:
            if reply.status == 416:  # all of it was there
                return
            _check(reply)
            if reply.status != 206:
                done = 0
            with await asyncio.to_thread(part.open, "ab" if done else "wb") as stream:
                async for chunk in reply.content.iter_chunked(_CHUNK_BYTES):
                    await asyncio.to_thread(stream.write, chunk)
                    done += len(chunk)
                    told(done)

    async def upload(self, path: str, source: Path) -> None:
        """Put a file there, from where an earlier try has come to; its SHA-256 is compared there. Raises as :meth:`download`."""
        digest, size = await asyncio.to_thread(_digest, source)
        tries = count()
        await self._again(lambda: self._put(path, source, digest, size, is_first=next(tries) == 0))

    async def _put(self, path: str, source: Path, digest: str, size: int, *, is_first: bool) -> None:
        assert self._session is not None
        offset = 0
        if not is_first:  # how much has come is asked when something went wrong
            async with self._session.get(self._at(path)) as reply:
                _check(reply)
                offset = int(reply.headers.get("X-Received-Bytes", 0))
        query = {"offset": str(offset), "size": str(size), "sha256": digest}
        async with self._session.put(self._at(path).with_query(query), data=_rest(source, offset)) as reply:
            _check(reply)

    async def _again(self, transfer: Callable[[], Awaitable[None]]) -> None:
        """Carry out a transfer, again until it is done or refused."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            began_at = loop.time()
            try:
                await transfer()
            except (aiohttp.ClientError, TimeoutError, ConnectionError, Unavailable):
                await asyncio.sleep(backoff.after(loop.time() - began_at))
            else:
                return

    def _at(self, path: str) -> URL:
        return self._urls[0] / "api" / path


def _check(reply: aiohttp.ClientResponse) -> None:
    if reply.status in _FATAL:
        raise _FATAL[reply.status](f"the server answers {reply.status} for {reply.url.path}")
    if not reply.ok:
        raise Unavailable(f"the server answers {reply.status}")


async def _rest(source: Path, offset: int) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(source.open, "rb") as stream:
        await asyncio.to_thread(stream.seek, offset)
        while chunk := await asyncio.to_thread(stream.read, _CHUNK_BYTES):
            yield chunk


def _digest(source: Path) -> tuple[str, int]:
    with source.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest(), source.stat().st_size


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
