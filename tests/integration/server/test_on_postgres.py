"""A whole server on PostgreSQL: pictures are made, and are there after a restart."""

from __future__ import annotations

from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from sdrest.app import build_app
from tests.integration.conftest import SettingsFactory
from tests.needs import needs

pytestmark = needs("postgres")


async def test_a_picture_is_made_and_is_there_after_a_restart(
    settings_factory: SettingsFactory, postgres_url: str
) -> None:
    settings = settings_factory(database=postgres_url)
    async with TestClient(TestServer(build_app(settings))) as client:
        body = {"prompt": "a", "width": 64, "height": 64, "steps": 2}
        made: dict[str, Any] = await (await client.post("/api/generate/text2img", json=body)).json()
        async with client.get(f"/api/jobs/{made['job_id']}/events") as stream:
            await stream.read()
    async with TestClient(TestServer(build_app(settings))) as client:
        job = await (await client.get(f"/api/jobs/{made['job_id']}")).json()
        assert job["status"] == "completed"
        assert (await (await client.get("/api/queue/status")).json())["completed_count"] == 1
