"""The routes around generation: discovery, validation, estimates, queue management, machine, configuration."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.core.names import Sampler, Scheduler
from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


def png(width: int, height: int) -> str:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


async def submit(client: Client, **fields: Any) -> str:
    reply = await client.post("/api/generate/text2img", json={**SMALL, **fields})
    assert reply.status == 202, await reply.text()
    job_id: str = (await reply.json())["job_id"]
    return job_id


async def finished(client: Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = await (await client.get(f"/api/jobs/{job_id}")).json()
        if job["status"] not in {"pending", "running"}:
            return job
        await asyncio.sleep(0.05)


async def test_samplers_and_schedulers_are_those_of_the_library(client: Client) -> None:
    samplers = (await (await client.get("/api/samplers")).json())["samplers"]
    schedulers = (await (await client.get("/api/schedulers")).json())["schedulers"]
    assert [item["name"] for item in samplers] == list(Sampler)
    assert [item["name"] for item in schedulers] == list(Scheduler)


async def test_parameters_tell_the_limits(client: Client) -> None:
    found = await (await client.get("/api/v1/parameters")).json()
    assert found["parameters"]["steps"] == {
        "type": "integer", "description": "Sampling steps.", "default": 20, "min": 1, "max": 1000,
    }  # fmt: skip
    assert found["parameters"]["sampling_method"]["values"] == list(Sampler)
    assert found["parameters"]["init_image"]["type"] == "picture"
    assert found["parameters"]["hires"]["fields"]["scale"]["max"] == 8


async def test_validation_tells_all_faults_and_what_would_be_used(client: Client) -> None:
    bad = await client.post("/api/validate", json={"prompt": "x", "steps": 0, "widht": 64, "sampling_method": "eulr"})
    assert bad.status == 200
    reply = await bad.json()
    assert not reply["valid"]
    assert {problem["field"] for problem in reply["errors"]} == {"steps", "widht", "sampling_method"}
    missing = await (await client.post("/api/validate", json={"prompt": "x", "model": "nowhere"})).json()
    assert [problem["field"] for problem in missing["errors"]] == ["model"]
    good = await (await client.post("/api/validate", json={**SMALL, "sampling_method": "Euler a"})).json()
    assert good["valid"], good
    assert good["normalized"]["sampling_method"] == "euler_a"
    assert good["normalized"]["model"] == "embedded"


async def test_estimates_come_from_what_was_measured(client: Client) -> None:
    first = await (await client.post("/api/estimate", json={**SMALL, "steps": 8})).json()
    assert first["time"]["seconds"] is None
    assert first["fits"]
    assert first["memory"]["model"] > 1_000_000
    await finished(client, await submit(client, steps=8))
    second = first
    while second["time"]["seconds"] is None:
        await asyncio.sleep(0.02)
        second = await (await client.post("/api/estimate", json={**SMALL, "steps": 8})).json()
    assert second["time"]["basis"] == "1 measurement at 64×64"
    twice = await (await client.post("/api/estimate", json={**SMALL, "steps": 8, "batch_count": 2})).json()
    assert twice["time"]["seconds"] == pytest.approx(2 * second["time"]["seconds"], rel=0.01)
    larger = await (await client.post("/api/estimate", json={**SMALL, "steps": 8, "width": 128})).json()
    assert larger["time"]["seconds"] == pytest.approx(2 * second["time"]["seconds"], rel=0.01)
    assert larger["time"]["basis"].startswith("scaled from")


async def test_machine_and_configuration(client_factory: ClientFactory) -> None:
    client = await client_factory(webhook_secret="do not tell")
    system = await (await client.get("/api/system")).json()
    assert system["memory"]["total"] > system["memory"]["available"] > 0
    assert "txt2img" in system["capabilities"]["job_types"]
    assert system["limits"]["max_side"] == 4096
    text = await (await client.get("/api/config")).text()
    assert "do not tell" not in text
    assert '"webhook_secret":{"set":true}' in text


async def test_a_server_that_cannot_restart_says_so(client: Client) -> None:
    reply = await client.post("/api/system/restart")
    assert reply.status == 503
    assert "sdrest serve" in (await reply.json())["error"]


async def test_resizing_keeps_or_changes_the_proportions(client: Client) -> None:
    for mode, size in (("stretch", (10, 40)), ("fit", (10, 5)), ("fill", (10, 40))):
        reply = await client.post(
            "/api/image/resize", json={"image": png(40, 20), "width": 10, "height": 40, "mode": mode}
        )
        assert opened((await reply.json())["image"]).size == size


async def test_cropping_takes_the_part_that_was_asked_for(client: Client) -> None:
    source = png(16, 16)
    body = {"image": source, "x": 4, "y": 8, "width": 2, "height": 3}
    part = opened((await (await client.post("/api/image/crop", json=body)).json())["image"])
    assert part.tobytes() == opened(source).crop((4, 8, 6, 11)).tobytes()
    beyond = await client.post("/api/image/crop", json={**body, "x": 15})
    assert beyond.status == 400


async def test_the_queue_is_listed_filtered_and_in_pages(client: Client) -> None:
    await client.post("/api/queue/pause")
    ids = [await submit(client, prompt=f"picture {index} of a {word}") for index, word in enumerate("abcde")]
    page = await (await client.get("/api/queue", params={"limit": 2, "page": 2})).json()
    assert [item["job_id"] for item in page["items"]] == [ids[2], ids[1]]
    assert (page["total_pages"], page["has_more"], page["has_prev"], page["filtered_count"]) == (3, True, True, 5)
    oldest = await (await client.get("/api/jobs", params={"order": "oldest", "limit": 1})).json()
    assert oldest["items"][0]["job_id"] == ids[0]
    found = await (await client.get("/api/queue", params={"search": "picture 3"})).json()
    assert [item["job_id"] for item in found["items"]] == [ids[3]]
    none = await (await client.get("/api/queue?status=completed&status=failed")).json()
    assert none["items"] == []
    assert page["paused"]
    for wrong in ({"page": 1, "offset": 0}, {"limit": 0}, {"stauts": "pending"}, {"status": "sleeping"}):
        assert (await client.get("/api/queue", params=wrong)).status == 400


async def test_a_paused_queue_takes_the_highest_priority_first(client: Client) -> None:
    await client.post("/api/queue/pause")
    first, second = await submit(client), await submit(client, seed=8)
    raised = await client.post(f"/api/queue/job/{second}/priority", json={"priority": 5})
    assert (await raised.json())["position"] == 1
    await client.post("/api/queue/resume")
    early, late = await finished(client, second), await finished(client, first)
    assert early["started_at"] < late["started_at"]


async def test_a_job_is_tried_again_and_deleted_with_its_files(client: Client, tmp_path: Path) -> None:
    job_id = await submit(client)
    first = await finished(client, job_id)
    again = await client.post(f"/api/queue/job/{job_id}/retry")
    assert again.status == 202
    second = await finished(client, (await again.json())["job_id"])
    pictures = [await (await client.get(job["images"][0]["url"])).read() for job in (first, second)]
    assert pictures[0] == pictures[1]
    assert (tmp_path / "data" / "output" / job_id).is_dir()
    assert (await client.delete(f"/api/queue/job/{job_id}")).status == 200
    assert not (tmp_path / "data" / "output" / job_id).exists()
    assert (await client.get(f"/api/queue/job/{job_id}")).status == 404
    many = await client.delete("/api/queue/jobs", json={"job_ids": [second["job_id"], "nothing"]})
    assert await many.json() == {
        "success": False, "deleted": 1, "failed": 1, "total": 2, "failed_job_ids": ["nothing"],
    }  # fmt: skip


async def test_a_pending_job_is_not_deleted(client: Client) -> None:
    await client.post("/api/queue/pause")
    job_id = await submit(client)
    assert (await client.delete(f"/api/jobs/{job_id}")).status == 409
