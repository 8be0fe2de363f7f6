"""The Workers page: who is connected, what it does, and how it is let go."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient

from sdrest import __version__
from sdrest.work import worker_frames as frames
from tests.integration.conftest import SMALL, ClientFactory

HELLO = frames.Hello(
    worker="attic",
    session="s-1",
    version=__version__,
    commit="abc123",
    slots=(frames.Slot("engine-cuda0", (frames.Device("CUDA0", "A fast card", 24_000_000_000),)),),
)


async def _page(client: TestClient[Any, Any], **headers: str) -> str:
    reply = await client.get("/ui/system/workers", headers=headers)
    assert reply.status == 200
    return await reply.text()


async def test_workers_are_shown_and_drained(client_factory: ClientFactory) -> None:
    client = await client_factory(work=False)
    assert "No worker is connected" in await _page(client)
    async with client.ws_connect("/api/workers/connect") as socket:
        await socket.send_bytes(frames.encode(HELLO))
        assert isinstance(frames.from_server(await socket.receive_bytes()), frames.Welcome)
        shown = await _page(client)
        for words in ("attic", "waits for jobs", "A fast card, 24.0 GB", "abc123", "none itself"):
            assert words in shown, words
        assert "<html" not in await _page(client, **{"HX-Request": "true"})
        reply = await client.post("/ui/system/workers/s-1/drain", allow_redirects=False)
        assert (reply.status, reply.headers["Location"]) == (303, "/ui/system/workers")
        assert isinstance(frames.from_server(await socket.receive_bytes()), frames.Drain)
        shown = await _page(client)
        assert "finishes and leaves" in shown
        assert "/drain" not in shown
    while "attic" in await _page(client):  # it has gone, and with nothing to do it is not waited for
        await asyncio.sleep(0.01)
    assert (await client.post("/ui/system/workers/s-1/drain")).status == 404


async def test_a_job_that_nobody_can_carry_out_says_why_until_a_worker_comes(client_factory: ClientFactory) -> None:
    client = await client_factory(work=False)
    assert 'name="prompt"' in await (await client.get("/ui/")).text()
    submitted = await (await client.post("/api/generate/text2img", json=SMALL)).json()
    why = "no worker is connected that could make the pictures: the job waits until one comes"
    assert submitted["warnings"] == [why]

    async def seen() -> tuple[str | None, bool, str]:
        """Why it waits as the API says it, whether the page does, and how many wait so as the metrics say it."""
        job = await (await client.get(f"/api/queue/job/{submitted['job_id']}")).json()
        listed = await (await client.get("/api/queue/status")).json()
        assert listed["jobs"][0]["waits_because"] == job["waits_because"]
        pages = [await (await client.get(path)).text() for path in ("/ui/queue", f"/ui/jobs/{submitted['job_id']}")]
        on_pages = {why[1:] in text for text in pages}
        metrics = await (await client.get("/metrics")).text()
        (line,) = [line for line in metrics.splitlines() if line.startswith("sdrest_jobs_without_engine{")]
        return job["waits_because"], on_pages.pop() if len(on_pages) == 1 else False, line.rpartition(" ")[2]

    assert await seen() == (why, True, "1.0")
    async with client.ws_connect("/api/workers/connect") as socket:
        paused = await client.post("/api/queue/pause")
        assert paused.status == 200
        await socket.send_bytes(frames.encode(HELLO))
        assert isinstance(frames.from_server(await socket.receive_bytes()), frames.Welcome)
        assert await seen() == (None, False, "0.0")
