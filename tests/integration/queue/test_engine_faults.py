"""A child that dies costs an attempt, never the server and never the queue."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import psutil
import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.errors import GenerationFailed
from sdrest.engine import messages
from sdrest.web.http.keys import ENGINES
from tests.engine import EngineOnDemand
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.test_generate import finished
from tests.integration.queue.test_cancel import LONG, until_sampling

Client = TestClient[Any, Any]


async def kill_child(client: Client, number: int) -> None:
    pid = client.app[ENGINES].first.supervisor.pid
    assert pid is not None
    os.kill(pid, number)


async def test_a_job_is_repeated_once_after_the_child_died_under_it(client: Client) -> None:
    queued = await (await client.post("/api/generate/text2img", json={**LONG, "steps": 60})).json()
    await until_sampling(client, queued["job_id"])
    await kill_child(client, signal.SIGSEGV)
    job = await finished(client, queued["job_id"], 120)
    assert (job["status"], job["attempt"]) == ("completed", 2)


async def test_a_job_that_kills_the_child_twice_fails_with_its_last_words_and_the_next_one_runs(client: Client) -> None:
    poison = await (await client.post("/api/generate/text2img", json=LONG)).json()
    good = await (await client.post("/api/generate/text2img", json=SMALL)).json()
    for attempt in (1, 2):
        async with asyncio.timeout(60):
            while True:
                job = await (await client.get(f"/api/queue/job/{poison['job_id']}")).json()
                if job["attempt"] == attempt and job["progress"]["stage"] == "sample" and job["progress"]["step"]:
                    break
                await asyncio.sleep(0.02)
        await kill_child(client, signal.SIGABRT)
        async with asyncio.timeout(30):
            while client.app[ENGINES].first.supervisor.is_ready:
                await asyncio.sleep(0.01)
    job = await finished(client, poison["job_id"])
    assert (job["status"], job["attempt"], job["failure"]["slug"]) == ("failed", 2, "engine_died")
    assert "SIGABRT" in job["error"]
    assert job["failure"]["log_tail"]
    assert (await finished(client, good["job_id"]))["status"] == "completed"


async def test_what_nobody_thought_of_in_the_child_fails_the_task_and_not_the_child(client: Client) -> None:
    engine = client.app[ENGINES].first
    await engine.info()
    pid = engine.supervisor.pid
    task = messages.Load(task="odd", context=messages.ContextSpec(files=(("no such part", "/nowhere"),)))
    with pytest.raises(GenerationFailed, match="internal error: TypeError"):
        await engine.run(task, lambda _report: None)
    assert (await client.post("/api/v1/generate", json=SMALL)).status == 200
    assert engine.supervisor.pid == pid


async def test_a_hung_child_is_noticed_and_replaced(client_factory: Any) -> None:
    client = await client_factory(engine_hang_seconds=2.5)
    assert (await client.post("/api/v1/generate", json=SMALL)).status == 200
    pid = client.app[ENGINES].first.supervisor.pid
    os.kill(pid, signal.SIGSTOP)
    reply = await client.post("/api/v1/generate", json=SMALL)
    assert reply.status == 200
    assert client.app[ENGINES].first.supervisor.pid != pid


async def test_the_child_dies_with_its_parent(client_factory: ClientFactory) -> None:
    client = await client_factory(EngineOnDemand)
    await client.app[ENGINES].first.info()
    pid = client.app[ENGINES].first.supervisor.pid
    assert pid is not None
    await client.close()
    while psutil.pid_exists(pid):
        await asyncio.sleep(0.01)
