"""The client for programs with an event loop."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import httpx

from sdrest.client import exchange
from sdrest.client.calls import Calls
from sdrest.client.exchange import JobEvents


class AsyncClient(Calls):
    """A connection to one server; use it as an asynchronous context manager, or close it.

    Args:
        url: The server's address.
        api_key: An API key or an access token.
        timeout_seconds: Longest silence of the server in a request; waiting for a job has no limit.
        transport: Another way to reach the server than TCP, for example ``httpx.AsyncHTTPTransport(uds="/run/sdrest.sock")``.
    """

    def __init__(
        self,
        url: str = exchange.DEFAULT_URL,
        *,
        api_key: str = "",
        timeout_seconds: float = exchange.TIMEOUT_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, headers=exchange.headers_for(api_key), timeout=timeout_seconds, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        return await self._http.request(method, path, **content)

    async def _listen(self, path: str, events: JobEvents) -> None:
        async with self._http.stream("GET", path, timeout=exchange.LISTENING_TIMEOUT) as stream:
            if stream.is_error:
                await stream.aread()
                exchange.refuse(stream)
            async for line in stream.aiter_lines():
                events.feed(line)
                if events.ended:
                    return

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
