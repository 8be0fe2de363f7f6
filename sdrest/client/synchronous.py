"""The client for programs without an event loop: the same calls, carried out by functions that block."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import httpx

from sdrest.client import exchange
from sdrest.client.calls import Calls
from sdrest.client.exchange import JobEvents

P = ParamSpec("P")
T = TypeVar("T")


class _BlockingCalls(Calls):
    """Coroutines that never wait for an event loop: they end in the step that starts them."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    async def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        return self._http.request(method, path, **content)

    async def _listen(self, path: str, events: JobEvents) -> None:
        with self._http.stream("GET", path, timeout=exchange.LISTENING_TIMEOUT) as stream:
            if stream.is_error:
                stream.read()
                exchange.refuse(stream)
            for line in stream.iter_lines():
                events.feed(line)
                if events.ended:
                    return

    async def _pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - blocks on purpose


def _blocking(call: Callable[Concatenate[Calls, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Client, P], T]:
    """A call as a function that returns when it is done."""

    @functools.wraps(call)
    def run(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            call(self._calls, *args, **kwargs).send(None)
        except StopIteration as end:
            return cast("T", end.value)
        raise AssertionError(f"{call.__name__} waits for an event loop")

    return run


class Client:
    """A connection to one server; use it as a context manager, or close it.

    Args:
        url: The server's address.
        api_key: An API key or an access token.
        timeout_seconds: Longest silence of the server in a request; waiting for a job has no limit.
        transport: Another way to reach the server than TCP, for example ``httpx.HTTPTransport(uds="/run/sdrest.sock")``.
    """

    def __init__(
        self,
        url: str = exchange.DEFAULT_URL,
        *,
        api_key: str = "",
        timeout_seconds: float = exchange.TIMEOUT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=url, headers=exchange.headers_for(api_key), timeout=timeout_seconds, transport=transport
        )
        self._calls = _BlockingCalls(self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    submit = _blocking(Calls.submit)
    job = _blocking(Calls.job)
    cancel = _blocking(Calls.cancel)
    wait = _blocking(Calls.wait)
    download = _blocking(Calls.download)
    save = _blocking(Calls.save)
    generate = _blocking(Calls.generate)
    models = _blocking(Calls.models)
    download_model = _blocking(Calls.download_model)
    model_sets = _blocking(Calls.model_sets)
    search_hubs = _blocking(Calls.search_hubs)
    pull = _blocking(Calls.pull)
