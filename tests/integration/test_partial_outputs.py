"""Pictures of a batch are the job's as soon as they are finished, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from pathlib import Path
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


async def test_an_interrupted_a1111_batch_is_answered_with_what_is_finished(
    client: TestClient[Any, Any], tmp_path: Path
) -> None:
    body = {"prompt": "a red apple", "width": 128, "height": 128, "steps": 20, "seed": 7, "batch_size": 16}
    answer = asyncio.create_task(client.post("/sdapi/v1/txt2img", json=body))
    made: list[str] = []
    while not made and not answer.done():
        status = await (await client.get("/api/queue/status")).json()
        made = status["current"]["outputs"] if status["current"] else []
    await client.post("/sdapi/v1/interrupt")
    reply = await answer
    assert reply.status == 200, await reply.text()
    job_id, images = reply.headers["X-Job-Id"], (await reply.json())["images"]
    assert 1 <= len(images) < 16
    job = await (await client.get(f"/api/jobs/{job_id}")).json()
    assert job["status"] == "cancelled"
    folder = tmp_path / "data" / "output" / job_id
    assert sorted(job["outputs"]) == sorted(file.name for file in folder.iterdir())
    assert len(job["outputs"]) == len(images)
    gallery = await (await client.get("/ui/gallery")).text()
    assert f"{job_id}/image_0.png" in gallery
    assert (await client.delete(f"/api/jobs/{job_id}")).status == 200
    assert not folder.exists()
