"""Pictures of a batch can be fetched as soon as they are finished, while the job goes on."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient

COUNT = 12
BATCH = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 4, "seed": 7, "batch_count": COUNT}


async def test_the_first_picture_is_there_before_the_last(client: TestClient[Any, Any]) -> None:
    submitted = await (await client.post("/api/generate/text2img", json=BATCH)).json()
    url = f"/api/queue/job/{submitted['job_id']}"
    job = await (await client.get(url)).json()
    while not job["outputs"] and job["status"] != "failed":
        await asyncio.sleep(0.02)
        job = await (await client.get(url)).json()
    assert job["status"] == "running"
    assert 0 < len(job["outputs"]) < COUNT
    early = await client.get(job["images"][0]["url"])
    assert early.status == 200
    picture = await early.read()
    while job["status"] == "running":
        await asyncio.sleep(0.05)
        job = await (await client.get(url)).json()
    assert len(job["outputs"]) == COUNT
    assert await (await client.get(job["images"][0]["url"])).read() == picture
