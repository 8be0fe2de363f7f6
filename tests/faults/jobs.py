"""Submitting jobs and waiting for them, through an aiohttp test client."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient

from sdrest.web.http.keys import ENGINES
from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]


async def submitted(client: Client, **more: Any) -> str:
    """The id of a new small job."""
    reply = await client.post("/api/generate/text2img", json={**SMALL, **more})
    body = await reply.json()
    assert reply.status == 202, body
    return str(body["job_id"])


async def job(client: Client, job_id: str) -> dict[str, Any]:
    """The job as it is."""
    found: dict[str, Any] = await (await client.get(f"/api/queue/job/{job_id}")).json()
    return found


async def ended(client: Client, job_id: str, seconds: float = 60) -> dict[str, Any]:
    """The job after its end."""
    async with asyncio.timeout(seconds):
        while (found := await job(client, job_id))["status"] not in {"completed", "failed", "cancelled"}:
            await asyncio.sleep(0.05)
    return found


async def until_running(client: Client, job_id: str) -> None:
    """Wait until the job runs; it must take much longer than a look at it."""
    async with asyncio.timeout(60):
        while (status := (await job(client, job_id))["status"]) != "running":
            assert status == "pending", f"{status} before it was seen running"
            await asyncio.sleep(0.01)


async def works(client: Client) -> None:
    """The server is healthy and makes a picture."""
    assert (await client.get("/api/health")).status == 200
    reply = await client.post("/api/v1/generate", json=SMALL)
    assert reply.status == 200, await reply.text()


def engine_pid(client: Client) -> int | None:
    """Process id of the engine child."""
    pid: int | None = client.app[ENGINES].first.supervisor.pid
    return pid
