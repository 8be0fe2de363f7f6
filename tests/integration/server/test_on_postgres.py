"""A whole server on PostgreSQL: pictures are made, are there after a restart, and wait while the database is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from sdrest.app import build_app
from tests.integration.conftest import SettingsFactory
from tests.needs import needs
from tests.postgres import PostgresServer

pytestmark = needs("postgres")


async def made(client: TestClient[Any, Any]) -> str:
    """Id of a job that has been carried out."""
    body = {"prompt": "a", "width": 64, "height": 64, "steps": 2}
    job_id: str = (await (await client.post("/api/generate/text2img", json=body)).json())["job_id"]
    async with client.get(f"/api/jobs/{job_id}/events") as stream:
        await stream.read()
    job = await (await client.get(f"/api/jobs/{job_id}")).json()
    assert job["status"] == "completed", job
    return job_id


async def test_a_picture_is_made_and_is_there_after_a_restart(
    settings_factory: SettingsFactory, postgres_url: str
) -> None:
    settings = settings_factory(database=postgres_url)
    async with TestClient(TestServer(build_app(settings))) as client:
        job_id = await made(client)
    async with TestClient(TestServer(build_app(settings))) as client:
        job = await (await client.get(f"/api/jobs/{job_id}")).json()
        assert job["status"] == "completed"
        assert (await (await client.get("/api/queue/status")).json())["completed_count"] == 1


@pytest.mark.slow
async def test_a_database_that_was_killed_and_is_back_is_used_again(
    settings_factory: SettingsFactory, postgres_url: str, postgres: PostgresServer
) -> None:
    async with TestClient(TestServer(build_app(settings_factory(database=postgres_url)))) as client:
        first = await made(client)
        await asyncio.to_thread(postgres.stop)
        try:
            reply = await client.get(f"/api/jobs/{first}")
            assert reply.status == 503, await reply.text()
        finally:
            await asyncio.to_thread(postgres.start)
        assert (await (await client.get(f"/api/jobs/{first}")).json())["status"] == "completed"
        await made(client)
