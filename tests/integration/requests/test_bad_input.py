"""Bad input gets one clear 4xx that names every faulty field, and reaches no native code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


def faulty_fields(body: dict[str, Any]) -> set[str]:
    return {problem["field"] for problem in body["details"]["errors"]}


async def test_all_faulty_fields_are_listed_at_once(client: Client) -> None:
    reply = await client.post(
        "/api/generate/text2img",
        json={
            "prompt": 5, "width": 0, "height": 65536, "steps": -1, "seed": -2, "batch_count": 2**31 - 1, "cfg_scale": "much",
            "sampling_method": "eulr", "scheduler": "carras", "clip_skip": 99, "promt": "x", "loras": [{"multiplier": 3}],
        },
    )  # fmt: skip
    assert reply.status == 400
    body = await reply.json()
    assert body["code"] == "invalid_input"
    assert faulty_fields(body) == {
        "prompt", "width", "height", "steps", "seed", "batch_count", "cfg_scale", "sampling_method", "scheduler", "clip_skip",
        "promt", "loras.0.name",
    }  # fmt: skip
    messages = {problem["field"]: problem["message"] for problem in body["details"]["errors"]}
    assert "did you mean 'prompt'" in messages["promt"]
    assert "did you mean 'euler'" in messages["sampling_method"]
    assert "did you mean 'karras'" in messages["scheduler"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"width": 63}, "width"),
        ({"width": 72}, "width"),
        ({"height": 4097}, "height"),
        ({"steps": 0}, "steps"),
        ({"scheduler": "gits", "steps": 1}, "steps"),
        ({"custom_sigmas": [1.0]}, "custom_sigmas"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 2**63 - 1, "batch_count": 2}, "seed"),
        ({"batch_count": 0}, "batch_count"),
        ({"prompt": "x" * 20_001}, "prompt"),
        ({"prompt": "😀" * 2000}, "prompt"),
        ({"negative_prompt": "😀" * 2000}, "negative_prompt"),
        ({"prompt": "the flag 🏴\U000e0067\U000e007f"}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"hires": {"enabled": True, "upscaler": "magic"}}, "hires.upscaler"),
        ({"hires": {"enable": True}}, "hires.enable"),
        ({"vae_tiling": {"target_overlap": 2}}, "vae_tiling.target_overlap"),
    ],
)
async def test_values_out_of_range_are_refused(client: Client, change: dict[str, Any], field: str) -> None:
    reply = await client.post("/api/generate/text2img", json={**SMALL, **change})
    body = await reply.json()
    assert reply.status == 400, body
    assert faulty_fields(body) == {field}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"x"', '{"prompt": NaN}', '{"prompt": "a", "cfg_scale": Infinity}', "[" * 100_000, "\xff"],
)
async def test_what_is_not_a_json_object_is_refused(client: Client, text: str) -> None:
    reply = await client.post(
        "/api/v1/generate", data=text.encode("latin-1"), headers={"Content-Type": "application/json"}
    )
    assert reply.status == 400
    assert (await reply.json())["code"] == "invalid_input"


async def test_an_unknown_model_is_named_with_near_ones(client: Client) -> None:
    reply = await client.post("/api/v1/generate", json={**SMALL, "model": "embeded"})
    assert reply.status == 404
    body = await reply.json()
    assert body["code"] == "model_not_found"
    assert "embedded" in body["error"]


@pytest.mark.parametrize("content", [b"", b"GGUF", b"<html>not a model</html>", bytes(4096)])
async def test_an_unreadable_model_is_refused_at_request_time(
    client: Client, settings_factory: Any, content: bytes
) -> None:
    folder = settings_factory().models_dir / "checkpoints"
    (folder / "broken.gguf").write_bytes(content)
    from sdrest.web.http.keys import MODELS

    client.app[MODELS].refresh()
    reply = await client.post("/api/v1/generate", json={**SMALL, "model": "broken"})
    body = await reply.json()
    assert reply.status == 422, body
    assert "broken" in body["error"]
    assert (await client.post("/api/v1/generate", json=SMALL)).status == 200


async def test_unknown_things_are_404(client: Client) -> None:
    for path in (
        "/api/queue/job/nope",
        "/api/v1/generate/nope",
        "/api/jobs/nope/events",
        "/api/nothing",
        "/api/jobs/a/output/b.png",
    ):
        reply = await client.get(path)
        assert reply.status == 404, path
        assert (await reply.json())["code"] == "not_found"
    assert (await client.post("/api/queue/cancel", json={"job_id": "nope"})).status == 404
    assert (await client.delete("/api/health")).status == 405


async def test_a_full_queue_answers_429_with_a_time(client_factory: Any) -> None:
    client = await client_factory(max_pending_jobs=1)
    replies = [
        await client.post("/api/generate/text2img", json={**SMALL, "width": 256, "height": 256}) for _ in range(4)
    ]
    refused = [reply for reply in replies if reply.status == 429]
    assert refused
    assert int(refused[0].headers["Retry-After"]) > 0
    assert (await refused[0].json())["code"] == "queue_full"


async def test_foreign_host_names_are_refused(client: Client) -> None:
    reply = await client.get("/api/health", headers={"Host": "evil.example"})
    assert reply.status == 403
