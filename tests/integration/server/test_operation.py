"""Running a server for long: numbers, readiness, webhooks, retention, free space, a tidy stop."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from sdrest.jobs.bin import Bin
from sdrest.jobs.retention import Keep, Retention
from sdrest.web.http.keys import ENGINES, JOBS
from tests.engine import EngineOnDemand
from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


class Receiver:
    """A server that takes webhooks; ``statuses`` are its next answers, 200 after them."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        app = web.Application()
        app.router.add_post("/hook", self.take)
        self.server = TestServer(app)

    async def take(self, request: web.Request) -> web.Response:
        status = self.statuses.pop(0) if self.statuses else 200
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=status)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/hook"

    async def wait_for(self, number: int) -> None:
        while len(self.got) < number:
            await asyncio.sleep(0.02)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    await found.server.start_server()
    yield found
    await found.server.close()


def undelivered(folder: Path) -> int:
    """How many webhooks the server there has yet to deliver."""
    with closing(sqlite3.connect(folder / "data" / "sdrest.sqlite3")) as database:
        return int(database.execute("SELECT count(*) FROM webhooks").fetchone()[0])


async def numbers(client: Client) -> dict[tuple[str, ...], float]:
    text = await (await client.get("/metrics")).text()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_numbers_for_prometheus(client: Client) -> None:
    await client.post("/api/v1/generate", json=SMALL)
    await client.get("/api/queue/job/nothing")
    found = await numbers(client)
    assert found["sdrest_jobs", "completed"] == 1
    assert found["sdrest_jobs_ended_total", "completed", "txt2img"] == 1
    assert found["sdrest_job_seconds_count", "txt2img"] == 1
    assert found["sdrest_engine_ready",] == 1
    assert found["sdrest_http_request_seconds_count", "GET", "/api/queue/job/{job_id}", "404"] == 1
    assert found["sdrest_http_request_seconds_count", "POST", "/api/v1/generate", "200"] == 1


async def test_two_servers_in_one_process_count_apart(client_factory: ClientFactory, tmp_path: Path) -> None:
    first = await client_factory()
    second = await client_factory(data_dir=tmp_path / "other")
    await first.get("/api/health")
    key = ("sdrest_http_request_seconds_count", "GET", "/api/health", "200")
    assert (await numbers(first))[key] == 1
    assert key not in await numbers(second)


async def test_readiness_names_the_reasons(client_factory: ClientFactory) -> None:
    client = await client_factory(EngineOnDemand, max_pending_jobs=1)
    assert await (await client.get("/api/ready")).json() == {"ready": False, "reasons": ["the engine is not up"]}
    await client.app[ENGINES].first.info()
    assert (await client.get("/api/ready")).status == 200
    await client.post("/api/queue/pause")
    await client.post("/api/generate/text2img", json=SMALL)
    reply = await client.get("/api/ready")
    assert reply.status == 503
    assert set((await reply.json())["reasons"]) == {"the queue is full", "the queue is paused"}


async def test_a_webhook_is_signed_and_repeated_until_it_is_heard(
    client_factory: ClientFactory, receiver: Receiver, tmp_path: Path
) -> None:
    client = await client_factory(
        fetch_allowed_hosts="127.0.0.1", webhook_secret="a secret", webhook_retry_seconds=0.05
    )
    receiver.statuses = [500, 503]
    submitted = await client.post("/api/generate/text2img", json={**SMALL, "webhook_url": receiver.url})
    job_id = (await submitted.json())["job_id"]
    await receiver.wait_for(3)
    while undelivered(tmp_path):
        await asyncio.sleep(0.02)
    assert len(receiver.got) == 3
    assert len({headers["X-Sdrest-Delivery"] for headers, _ in receiver.got}) == 1
    headers, body = receiver.got[-1]
    expected = hmac.new(b"a secret", headers["X-Sdrest-Timestamp"].encode() + b"." + body, hashlib.sha256)
    assert headers["X-Sdrest-Signature"] == f"sha256={expected.hexdigest()}"
    told = json.loads(body)
    assert (told["event"], told["job"]["job_id"]) == ("job.completed", job_id)
    assert told["job"]["outputs"] == ["image_0.png"]


async def test_endings_are_reported_after_a_restart_and_to_the_configured_address(
    client_factory: ClientFactory, receiver: Receiver
) -> None:
    receiver.statuses = [500] * 3
    settings = {"webhook_url": receiver.url}
    first = await client_factory(**settings, webhook_retry_seconds=0.5)
    await first.post("/api/queue/pause")
    await first.post("/api/generate/text2img", json=SMALL)
    await first.post("/api/queue/clear")
    await receiver.wait_for(1)
    await first.close()
    await client_factory(**settings, webhook_retry_seconds=0.01)
    await receiver.wait_for(4)
    assert json.loads(receiver.got[-1][1])["event"] == "job.cancelled"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/hook", "http://169.254.169.254/", "file:///etc/passwd", "http://other.example/"]
)
async def test_a_webhook_must_not_reach_private_or_unlisted_places(client_factory: ClientFactory, url: str) -> None:
    client = await client_factory(webhook_hosts="good.example")
    reply = await client.post("/api/generate/text2img", json={**SMALL, "webhook_url": url})
    assert reply.status == 400
    assert (await reply.json())["details"]["errors"][0]["field"] == "webhook_url"


async def test_old_jobs_go_by_number_size_and_age(client: Client, tmp_path: Path) -> None:
    ids = [
        (await (await client.post("/api/v1/generate", json={**SMALL, "seed": n})).json())["job_id"] for n in range(4)
    ]
    await client.post("/api/queue/pause")
    pending = (await (await client.post("/api/generate/text2img", json=SMALL)).json())["job_id"]
    assert client.app is not None
    jobs, output = client.app[JOBS], tmp_path / "data" / "output"

    async def left() -> set[str]:
        return {job["job_id"] for job in (await (await client.get("/api/queue")).json())["items"]}

    assert await Retention(jobs, Keep(jobs=3), Bin(jobs, days=30)).sweep() == 1
    assert await left() == {*ids[1:], pending}
    assert not (output / ids[0]).exists()
    size = sum(file.stat().st_size for file in (output / ids[3]).iterdir())
    assert await Retention(jobs, Keep(size_bytes=int(size * 2.5)), Bin(jobs, days=30)).sweep() == 1
    assert await left() == {*ids[2:], pending}
    later = Retention(jobs, Keep(days=1), Bin(jobs, days=30), clock=lambda: datetime.now(UTC) + timedelta(days=2))
    assert await Retention(jobs, Keep(days=1), Bin(jobs, days=30)).sweep() == 0
    assert await later.sweep() == 2
    assert await left() == {pending}


async def test_a_full_disk_is_told_before_a_job_is_taken(client_factory: ClientFactory) -> None:
    client = await client_factory(min_free_bytes=2**60)
    reply = await client.post("/api/generate/text2img", json=SMALL)
    assert reply.status == 507
    assert "min_free_bytes" in (await reply.json())["error"]
