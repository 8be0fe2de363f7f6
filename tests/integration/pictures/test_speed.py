"""What ``speed`` does to a picture of the real library: nothing when it is exact, and something else when it is not."""

from __future__ import annotations

from typing import Any

from aiohttp.test_utils import TestClient

from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]


async def picture(client: Client, **fields: Any) -> bytes:
    """The pixels and everything else of a picture of twelve steps, but for what is written in the file."""
    body = {**SMALL, "steps": 12, "embed_metadata": False, **fields}
    reply = await client.post("/api/v1/generate", json=body)
    assert reply.status == 200, await reply.text()
    job = (await reply.json())["job_id"]
    return await (await client.get(f"/api/v1/jobs/{job}/output/image_0.png")).read()


async def test_speeds_are_three(client: Client) -> None:
    exact, balanced, fast = [await picture(client, speed=speed) for speed in ("exact", "balanced", "fast")]
    assert exact == await picture(client)
    assert fast != exact
    # What the owner of a request says of the cache itself goes before it.
    assert balanced == await picture(client, cache={"mode": "easycache", "reuse_threshold": 0.1}, speed="fast")


async def test_a_speed_that_is_none_is_refused(client: Client) -> None:
    reply = await client.post("/api/v1/generate", json={**SMALL, "speed": "faster"})
    assert reply.status == 400
    assert "speed" in await reply.text()
