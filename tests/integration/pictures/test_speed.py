"""What ``speed`` does to a picture of the real library: nothing when it is exact, and something else when it is not."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.registry.builtin import EMBEDDED_NAME
from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]


async def picture(client: Client, **fields: Any) -> bytes:
    """A picture of the built-in model: on random weights, no step is like the one before."""
    body = {**SMALL, "model": EMBEDDED_NAME, "steps": 12, "cfg_scale": 1, "embed_metadata": False, **fields}
    reply = await client.post("/api/v1/generate", json=body)
    assert reply.status == 200, await reply.text()
    job = (await reply.json())["job_id"]
    return await (await client.get(f"/api/v1/jobs/{job}/output/image_0.png")).read()


@pytest.mark.slow
async def test_speeds_are_three(client: Client) -> None:
    exact, balanced, fast = [await picture(client, speed=speed) for speed in ("exact", "balanced", "fast")]
    assert exact == await picture(client)
    assert exact not in (balanced, fast)
    assert balanced != fast
    # What the owner of a request says of the cache itself goes before it.
    assert balanced == await picture(client, cache={"mode": "easycache", "reuse_threshold": 0.1}, speed="fast")


async def test_a_speed_that_is_none_is_refused(client: Client) -> None:
    reply = await client.post("/api/v1/generate", json={**SMALL, "speed": "faster"})
    assert reply.status == 400
    assert "speed" in await reply.text()
