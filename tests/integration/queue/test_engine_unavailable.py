"""An engine that cannot start fails nothing: jobs wait, everybody is told why, and it mends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from sdrest.app import build_app
from sdrest.core.background import Background, LoopState
from sdrest.core.backoff import Backoff
from sdrest.core.errors import EngineUnavailable
from sdrest.engine.client import Engine
from sdrest.engine.engines import Engines
from sdrest.web.http.keys import BACKGROUNDS, ENGINES, WORKERS
from tests.faults.jobs import ended, job, submitted
from tests.integration.conftest import SMALL, SettingsFactory
from tests.stub_child import Behaviour
from tests.stub_engine import StubEngine

Client = TestClient[Any, Any]
REASON = "the engine cannot start: the library is missing (exit status 1)"


@pytest.fixture
async def client(settings_factory: SettingsFactory, stub_engine: StubEngine) -> AsyncIterator[Client]:
    """A client of a server whose engine has been found unable to start."""
    stub_engine.behave(Behaviour.CANNOT_START)
    engine = Engine(cancel_grace_seconds=60, hang_seconds=60, command=stub_engine.command)
    app = build_app(settings_factory(sync_timeout_seconds=0.1), Engines([engine]))
    async with TestClient(TestServer(app)) as client:
        with pytest.raises(EngineUnavailable):
            await engine.info()
        yield client


async def got(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    reply = await client.get(path)
    return reply.status, await reply.json()


async def test_everybody_is_told_why_nothing_is_made(client: Client) -> None:
    status, health = await got(client, "/api/health")
    assert (status, health["status"]) == (200, "impaired")
    assert health["engine"] == {"state": "unavailable", "problem": REASON}
    assert {loop["state"] for loop in health["loops"] if loop["name"].startswith(("worker", "engine"))} == {"running"}
    engine = (await got(client, "/api/status"))[1]["engine"]
    assert (engine["ready"], engine["state"], engine["problem"]) == (False, "unavailable", REASON)
    assert await got(client, "/api/ready") == (503, {"ready": False, "reasons": [REASON]})
    metrics = await (await client.get("/metrics")).text()
    assert f'sdrest_engine_unavailable{{reason="{REASON}"}} 1.0' in metrics
    for page in ("/ui/generate/txt2img", "/ui/system"):
        assert REASON in await (await client.get(page)).text(), page


async def test_jobs_are_taken_in_wait_and_are_made_when_the_cause_is_gone(
    client: Client, stub_engine: StubEngine
) -> None:
    reply = await client.post("/api/generate/text2img", json=SMALL)
    body = await reply.json()
    assert (reply.status, body["status"], body["warnings"]) == (202, "pending", [f"the job waits: {REASON}"])
    others = [await submitted(client, seed=seed) for seed in (1, 2)]
    waiting = await client.post("/api/v1/generate", json=SMALL)
    assert waiting.status == 503
    said = await waiting.json()
    assert said["error"].startswith(f"the job waits: {REASON}; fetch it at /api/v1/generate/")
    assert (await client.post("/api/queue/cancel", json={"job_id": others[0]})).status == 200
    found = [await job(client, job_id) for job_id in (body["job_id"], *others)]
    assert [(item["status"], item["attempt"]) for item in found] == [("pending", 0), ("cancelled", 0), ("pending", 0)]

    stub_engine.behave(Behaviour.GOOD)
    for job_id in (body["job_id"], others[1], said["details"]["job_id"]):
        made = await ended(client, job_id)
        assert (made["status"], made["attempt"], len(made["outputs"])) == ("completed", 1, 1)
        assert made["warnings"] == []
    status, health = await got(client, "/api/health")
    assert (status, health["status"], health["engine"]) == (200, "ok", {"state": "ready", "problem": ""})
    assert (await got(client, "/api/ready"))[0] == 200
    assert "sdrest_engine_unavailable{" not in await (await client.get("/metrics")).text()


async def test_a_loop_that_fails_is_named_and_the_server_stays_healthy(client: Client, stub_engine: StubEngine) -> None:
    stub_engine.behave(Behaviour.GOOD)
    await client.app[ENGINES].first.supervisor.until_ready()

    async def run() -> None:
        raise OSError(28, "No space left on device", "/home/anna/sdrest")

    loop = Background("sweeper", run, backoff=Backoff(3600, 3600))
    async with client.app[BACKGROUNDS].running(loop):
        while loop.state is not LoopState.RESTARTING:
            await asyncio.sleep(0)
        status, health = await got(client, "/api/health")
        assert (status, health["status"]) == (200, "impaired")
        assert health["loops"][-1] == {
            "name": "sweeper",
            "state": "restarting",
            "restarts": 0,
            "last_error": "OSError: No space left on device",
        }
        metrics = await (await client.get("/metrics")).text()
        assert 'sdrest_loop_running{loop="sweeper"} 0.0' in metrics
        assert 'sdrest_loop_failed_seconds{error="OSError: No space left on device",loop="sweeper"}' in metrics


async def test_a_worker_that_has_ended_makes_the_server_unhealthy(client: Client) -> None:
    await client.app[WORKERS][0].loop.stop()
    status, health = await got(client, "/api/health")
    assert (status, health["status"]) == (503, "stopped")
