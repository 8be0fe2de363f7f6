"""Clients that hang up while they wait for their job, in every dialect that has clients wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.principal import ANYONE
from sdrest.jobs.listing import JobFilter
from sdrest.web.http.keys import JOBS
from sdrest.web.requests.audience import AUDIENCES
from tests.faults.jobs import Client, ended, until_running, works
from tests.integration.conftest import SMALL, ClientFactory

_OPENAI = {"prompt": "p", "size": "64x64", "steps": 2}
#: Path, body and headers of a request that waits for a job.
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "native": ("/api/v1/generate", SMALL),
    "openai": ("/v1/images/generations", _OPENAI),
    "openai stream": ("/v1/images/generations", {**_OPENAI, "stream": True}),
    "a1111": ("/sdapi/v1/txt2img", SMALL),
    "mcp": (
        "/mcp",
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "generate_image", "arguments": {"prompt": "p", "width": 64, "height": 64, "steps": 2}},
        },
    ),
}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def pending(client: Client) -> str:
    """The id of the one job, as soon as it is there and somebody waits for it."""
    async with asyncio.timeout(50):
        while True:
            for job in await client.app[JOBS].find(JobFilter(), ANYONE):
                if client.app[AUDIENCES].present(job.id):
                    return str(job.id)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def asking(client: Client, path: str, body: dict[str, Any]) -> AsyncIterator[str]:
    """Send a request, and hang up at the end of the block; the id of its job, which is there by then."""
    _reader, writer = await asyncio.open_connection(client.host, client.port)
    data = json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(data)}"]
    head += [f"{name}: {value}" for name, value in HEADERS.items()]
    writer.write("\r\n".join([*head, "", ""]).encode() + data)
    try:
        await writer.drain()
        yield await pending(client)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("way", WAYS)
async def test_its_job_is_cancelled_after_the_grace(client_factory: ClientFactory, way: str) -> None:
    client = await client_factory(hang_up_grace_seconds=0)
    await client.app[JOBS].set_paused(True, ANYONE)
    async with asking(client, *WAYS[way]) as job_id:
        pass
    assert (await ended(client, job_id))["status"] == "cancelled"


async def test_a_running_job_ends_and_the_next_client_has_its_turn(client_factory: ClientFactory) -> None:
    client = await client_factory(hang_up_grace_seconds=0)
    async with asking(client, "/api/v1/generate", {**SMALL, "width": 256, "height": 256, "steps": 1000}) as job_id:
        await until_running(client, job_id)
    assert (await ended(client, job_id))["status"] == "cancelled"
    await works(client)


async def test_a_job_that_can_be_asked_for_again_goes_on(client_factory: ClientFactory) -> None:
    client = await client_factory(hang_up_grace_seconds=0)
    jobs = client.app[JOBS]
    await jobs.set_paused(True, ANYONE)
    async with asking(client, "/api/v1/generate", {**SMALL, "idempotency_key": "mine"}) as job_id:
        pass
    async with asyncio.timeout(50):
        while client.app[AUDIENCES].present(job_id):
            await asyncio.sleep(0.01)
    await jobs.set_paused(False, ANYONE)
    assert (await ended(client, job_id))["status"] == "completed"
