"""A server with two engines: both work on the queue, and one goes on when the other dies."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from sdrest.app import build_app
from sdrest.web.http.keys import ENGINES
from tests.integration.conftest import SettingsFactory

JOBS = 6


async def test_two_engines_share_the_queue_and_no_fate(settings_factory: SettingsFactory) -> None:
    async with TestClient(TestServer(build_app(settings_factory(engines=2, threads=1)))) as client:
        engines = client.app[ENGINES]
        await engines.info()
        first, second = engines
        pid = second.supervisor.pid
        body = {"prompt": "a", "width": 64, "height": 64, "steps": 4}
        accepted = [await client.post("/api/generate/text2img", json=body) for _ in range(JOBS)]
        names = [(await reply.json())["job_id"] for reply in accepted]
        first.supervisor.kill()
        await asyncio.gather(*(_ended(client, name) for name in names))
        await first.until_ready()
        status = await (await client.get("/api/status")).json()
        assert [engine["name"] for engine in status["engines"]] == ["engine-1", "engine-2"]
        assert [engine["restarts"] for engine in status["engines"]] == [1, 0]
        assert second.supervisor.pid == pid
        assert status["engine"]["restarts"] == 1
        metrics = await (await client.get("/metrics")).text()
        assert 'sdrest_engines_restarts{engine="engine-1"} 1.0' in metrics
        page = await (await client.get("/ui/system")).text()
        assert "Engine 2 memory" in page


async def _ended(client: TestClient[Any, Any], name: str) -> None:
    async with client.get(f"/api/jobs/{name}/events") as stream:
        await stream.read()
    job = await (await client.get(f"/api/jobs/{name}")).json()
    assert job["status"] == "completed", job
