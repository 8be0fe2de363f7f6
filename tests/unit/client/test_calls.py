"""Both clients carry out the same calls; a lost stream of events is taken up again, and callbacks may use the client."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from sdrest.client import AsyncClient, Client, Job, Progress, ServerError, exchange
from sdrest.client.calls import Calls


class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Some events, then a lost connection."""

    def __init__(self, *events: bytes) -> None:
        self._events = events

    def __iter__(self) -> Iterator[bytes]:
        yield from self._events
        raise httpx.ReadError("lost")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self:
            yield event


def event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def state(status: str) -> dict[str, Any]:
    return {"job_id": "7", "status": status}


class Server:
    """Loses its listeners twice before the job ends; tells what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._streams = iter(
            (
                Breaking(event("snapshot", state("running")), event("progress", {"percent": 50.0})),
                Breaking(),
                httpx.ByteStream(event("state", state("completed"))),
            )
        )
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if request.url.path.endswith("/events"):
            return httpx.Response(200, stream=next(self._streams))
        return httpx.Response(200, json=state("completed"))


LISTENED = [*["GET /api/jobs/7/events"] * 3, "GET /api/queue/job/7"]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0)


async def test_the_asynchronous_client_listens_again() -> None:
    server = Server()
    seen: list[Progress] = []
    async with AsyncClient("http://server", transport=server.transport) as client:
        job = await client.wait("7", on_progress=seen.append)
    assert (job.status, server.asked) == ("completed", LISTENED)
    assert [progress.percent for progress in seen] == [0.0, 50.0, 0.0]


async def test_the_other_one_does_so_too_where_an_event_loop_runs_and_within_callbacks() -> None:
    server = Server()
    seen: list[float] = []

    def cancel(progress: Progress) -> None:
        seen.append(progress.percent)
        if progress.percent:
            client.cancel("7")

    with Client("http://server", transport=server.transport) as client:
        job = client.wait("7", on_progress=cancel)
    assert isinstance(job, Job)
    assert seen == [0.0, 50.0, 0.0]
    assert server.asked == [LISTENED[0], "POST /api/queue/cancel", *LISTENED[1:]]


def test_a_server_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "RECONNECT_SECONDS", 0)

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with Client(transport=httpx.MockTransport(refuse)) as client, pytest.raises(httpx.ConnectError):
        client.wait("7")


def test_a_refused_stream_is_told() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(404, json={"error": "no such job"}))
    with Client(transport=transport) as client, pytest.raises(ServerError, match="no such job"):
        client.wait("7")


def test_both_have_every_call() -> None:
    calls = {name for name, call in vars(Calls).items() if inspect.iscoroutinefunction(call) and name[0] != "_"}
    assert {name for name in vars(Client) if name[0] != "_"} == calls | {"close"}
    for name in calls:
        assert getattr(Client, name).__doc__ == getattr(AsyncClient, name).__doc__
