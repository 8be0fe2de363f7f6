"""From a request to a picture, through the real queue and the real library."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.outputs.infotext import parse_infotext
from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def finished(client: Client, job_id: str, seconds: float = 60) -> dict[str, Any]:
    """The job once it has ended."""
    async with asyncio.timeout(seconds):
        while True:
            reply = await client.get(f"/api/queue/job/{job_id}")
            body: dict[str, Any] = await reply.json()
            if body["status"] not in {"pending", "running"}:
                return body
            await asyncio.sleep(0.02)


async def test_synchronous_generation_returns_the_pictures(client: Client) -> None:
    reply = await client.post("/api/v1/generate", json={**SMALL, "batch_size": 2})
    assert reply.status == 200
    body = await reply.json()
    assert body["status"] == "completed"
    assert isinstance(body["generation_time"], float)
    assert [image["seed"] for image in body["images"]] == [7, 8]
    used = body["images"][1]["parameters"]
    assert (used["prompt"], used["width"], used["steps"], used["seed"], used["batch_size"]) == (
        "a red apple",
        64,
        2,
        8,
        2,
    )
    picture = Image.open(io.BytesIO(base64.b64decode(body["images"][0]["data"])))
    assert picture.size == (64, 64)
    told = parse_infotext(picture.text["parameters"])  # type: ignore[attr-defined]
    assert (told["prompt"], told["Seed"], told["Steps"], told["Size"], told["Model"]) == (
        "a red apple", "7", "2", "64x64", "embedded",
    )  # fmt: skip
    again = await (await client.get(f"/api/v1/generate/{body['job_id']}")).json()
    assert again["images"] == body["images"]


async def test_a_batch_equals_single_pictures_with_the_following_seeds(client: Client) -> None:
    batch = await (await client.post("/api/v1/generate", json={**SMALL, "batch_size": 2})).json()
    single = await (await client.post("/api/v1/generate", json={**SMALL, "seed": 8})).json()

    def pixels(image: dict[str, Any]) -> bytes:
        return Image.open(io.BytesIO(base64.b64decode(image["data"]))).tobytes()

    assert pixels(batch["images"][1]) == pixels(single["images"][0])
    assert pixels(batch["images"][0]) != pixels(batch["images"][1])


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
async def test_queued_generation_ends_with_files_and_thumbnails(client: Client, prefix: str) -> None:
    reply = await client.post(f"{prefix}/generate/text2img", json=SMALL)
    assert reply.status == 202
    body = await reply.json()
    assert body["status"] == "pending"
    job = await finished(client, body["job_id"])
    assert (job["status"], job["progress"]["fraction"], job["outputs"]) == ("completed", 1.0, ["image_0.png"])
    for url in (
        f"{prefix}/queue/job/{job['job_id']}/output/image_0.png",
        f"{prefix}/jobs/{job['job_id']}/output/image_0.png",
        job["output_urls"][0],
    ):
        file = await client.get(url)
        assert file.headers["Content-Type"] == "image/png"
        assert Image.open(io.BytesIO(await file.read())).size == (64, 64)
        thumb = Image.open(io.BytesIO(await (await client.get(url, params={"thumb": "1", "size": "32"})).read()))
        assert thumb.size == (32, 32)


async def test_random_seeds_are_drawn_at_submit_and_reported(client: Client) -> None:
    seeds = set()
    for seed in ("random", -1, None):
        body = await (await client.post("/api/generate/text2img", json={**SMALL, "seed": seed})).json()
        seeds.add(body["seed"])
        job = await finished(client, body["job_id"])
        assert job["images"][0]["seed"] == body["seed"] >= 0
    assert len(seeds) == 3


async def test_events_show_a_progress_that_never_goes_back(client: Client) -> None:
    queued = await (await client.post("/api/generate/text2img", json={**SMALL, "steps": 6, "batch_count": 2})).json()
    events: list[tuple[str, dict[str, Any]]] = []
    async with client.get(f"/api/jobs/{queued['job_id']}/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        name = ""
        async for raw in stream.content:
            line = raw.decode().rstrip()
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    assert events[0][0] == "snapshot"
    assert events[-1][0] == "state"
    assert events[-1][1]["status"] == "completed"
    fractions = [data["fraction"] for name, data in events if name == "progress"]
    assert fractions == sorted(fractions)
    stages = {data["stage"] for name, data in events if name == "progress"}
    assert {"sample", "decode"} <= stages
    assert max(data["image"] for name, data in events if name == "progress") == 2


async def test_the_websocket_tells_of_jobs(client: Client) -> None:
    async with client.ws_connect("/api/ws") as socket:
        queued = await (await client.post("/api/generate/text2img", json=SMALL)).json()
        heard: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            while not heard or heard[-1]["data"].get("status") != "completed":
                heard.append(await socket.receive_json())
    assert heard[0]["event"] == "job_added"
    assert {message["data"]["job_id"] for message in heard if "job_id" in message["data"]} == {queued["job_id"]}
    assert {"job_status_changed", "job_progress"} <= {message["event"] for message in heard}


async def test_an_idempotency_key_gives_the_same_job(client: Client) -> None:
    first = await (await client.post("/api/generate/text2img", json=SMALL, headers={"Idempotency-Key": "k"})).json()
    second = await (await client.post("/api/generate/text2img", json={**SMALL, "idempotency_key": "k"})).json()
    assert first["job_id"] == second["job_id"]


async def test_switching_models_and_back_gives_the_same_picture(
    client: Client, tiny_models: Any, settings_factory: Any
) -> None:
    folder = settings_factory().models_dir / "checkpoints" / "drawn by hand é"
    folder.mkdir(parents=True)
    (folder / "my érnie model.gguf").write_bytes(tiny_models("ernie").read_bytes())
    await asyncio.to_thread(client.app[_models_key()].refresh)
    first = await (await client.post("/api/v1/generate", json=SMALL)).json()
    for name in ("my érnie model", "my érnie model.gguf", "drawn by hand é/my érnie model.gguf"):
        other = await (await client.post("/api/v1/generate", json={**SMALL, "model": name})).json()
        assert other["status"] == "completed", other
        assert other["images"][0]["parameters"]["model"] == "my érnie model"
    again = await (await client.post("/api/v1/generate", json=SMALL)).json()
    assert again["images"][0]["data"] == first["images"][0]["data"]


def _models_key() -> Any:
    from sdrest.web.http.keys import MODELS

    return MODELS
