"""Cancelling pending and running jobs, softly and hard."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.errors import Cancelled
from sdrest.engine import messages
from sdrest.web.http.keys import ENGINES
from tests.engine import EngineOnDemand
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.test_generate import finished

Client = TestClient[Any, Any]
LONG = {"prompt": "a long one", "width": 256, "height": 256, "steps": 500}


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def until_sampling(client: Client, job_id: str) -> None:
    async with asyncio.timeout(30):
        while True:
            job = await (await client.get(f"/api/queue/job/{job_id}")).json()
            if job["progress"]["stage"] == "sample" and job["progress"]["step"] >= 3:
                return
            await asyncio.sleep(0.01)


async def test_a_running_job_is_cancelled_softly_and_the_next_picture_is_right(client: Client) -> None:
    before = await (await client.post("/api/v1/generate", json=SMALL)).json()
    pid = client.app[ENGINES].first.supervisor.pid
    queued = await (await client.post("/api/generate/text2img", json=LONG)).json()
    await until_sampling(client, queued["job_id"])
    reply = await client.post("/api/queue/cancel", json={"job_id": queued["job_id"]})
    assert (await reply.json())["status"] in {"cancelling", "cancelled"}
    job = await finished(client, queued["job_id"])
    assert job["status"] == "cancelled"
    assert client.app[ENGINES].first.supervisor.pid == pid
    after = await (await client.post("/api/v1/generate", json=SMALL)).json()
    assert after["images"][0]["data"] == before["images"][0]["data"]
    again = await client.post("/api/queue/cancel", json={"job_id": queued["job_id"]})
    assert again.status == 409


async def test_a_pending_job_is_cancelled_at_once_and_never_runs(client: Client) -> None:
    running = await (await client.post("/api/generate/text2img", json=LONG)).json()
    waiting = await (await client.post("/api/generate/text2img", json=SMALL)).json()
    body = await (await client.post("/api/queue/cancel", json={"job_id": waiting["job_id"]})).json()
    assert body == {"job_id": waiting["job_id"], "status": "cancelled", "success": True}
    job = await (await client.get(f"/api/queue/job/{waiting['job_id']}")).json()
    assert (job["status"], job["started_at"]) == ("cancelled", None)
    await client.post("/api/queue/cancel", json={"job_id": running["job_id"]})
    assert (await finished(client, running["job_id"]))["status"] == "cancelled"


async def test_clearing_cancels_only_what_waits(client: Client) -> None:
    running = await (await client.post("/api/generate/text2img", json=LONG)).json()
    await until_sampling(client, running["job_id"])
    for _ in range(3):
        await client.post("/api/generate/text2img", json=SMALL)
    assert await (await client.post("/api/queue/clear")).json() == {"success": True, "cleared": 3}
    status = await (await client.get("/api/queue/status")).json()
    assert (status["pending_count"], status["running_count"], status["cancelled_count"]) == (0, 1, 3)
    assert status["current"]["job_id"] == running["job_id"]
    await client.post("/api/queue/cancel", json={"job_id": running["job_id"]})
    await finished(client, running["job_id"])


async def test_a_child_that_does_not_react_is_killed_after_the_grace_time(client_factory: Any) -> None:
    client = await client_factory(cancel_grace_seconds=0.3)
    queued = await (await client.post("/api/generate/text2img", json=LONG)).json()
    await until_sampling(client, queued["job_id"])
    pid = client.app[ENGINES].first.supervisor.pid
    os.kill(pid, signal.SIGSTOP)
    await client.post("/api/queue/cancel", json={"job_id": queued["job_id"]})
    assert (await finished(client, queued["job_id"]))["status"] == "cancelled"
    assert (await client.post("/api/v1/generate", json=SMALL)).status == 200
    assert client.app[ENGINES].first.supervisor.pid != pid


async def test_a_task_cancelled_before_it_reached_the_engine_does_not_run(client_factory: ClientFactory) -> None:
    client = await client_factory(EngineOnDemand)
    assert client.app is not None
    engine = client.app[ENGINES].first
    assert not engine.cancel("early")
    with pytest.raises(Cancelled):
        await engine.run(messages.Unload(task="early"), lambda _report: None)
    assert (await engine.run(messages.Unload(task="early"), lambda _report: None)).result["unloaded"] == 0


async def test_every_moment_is_a_moment_to_cancel(client: Client) -> None:
    await (await client.post("/api/v1/generate", json=SMALL)).json()
    for number in range(12):
        queued = await (await client.post("/api/generate/text2img", json=LONG)).json()
        await asyncio.sleep(0.015 * number)
        await client.post("/api/queue/cancel", json={"job_id": queued["job_id"]})
        assert (await finished(client, queued["job_id"]))["status"] == "cancelled"
