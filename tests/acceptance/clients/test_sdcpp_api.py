"""The sdcpp API as its document describes it, against a running server."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.acceptance.conftest import Server

BODY: dict[str, Any] = {
    "prompt": "a red apple",
    "negative_prompt": "",
    "clip_skip": -1,
    "width": 64,
    "height": 64,
    "strength": 0.75,
    "seed": 7,
    "batch_count": 1,
    "auto_resize_ref_image": True,
    "increase_ref_index": False,
    "control_strength": 0.9,
    "embed_image_metadata": True,
    "init_image": None,
    "ref_images": [],
    "mask_image": None,
    "control_image": None,
    "sample_params": {
        "sample_steps": 2,
        "eta": None,
        "shifted_timestep": 0,
        "custom_sigmas": [],
        "guidance": {"slg": {}},
    },
    "lora": [],
    "hires": {"enabled": False, "upscaler": "Latent", "scale": 2.0},
    "vae_tiling_params": {"enabled": False, "tile_size_x": 0, "tile_size_y": 0},
    "cache_mode": "disabled",
    "cache_option": "",
    "scm_mask": "",
    "scm_policy_dynamic": True,
    "output_format": "png",
    "output_compression": 100,
}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/sdcpp/v1", timeout=60) as client:
        yield client


def ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = client.get(f"jobs/{job_id}").json()
        if job["status"] not in {"queued", "generating"}:
            return job
        time.sleep(0.05)


def test_a_job_from_submission_to_pictures(client: httpx.Client, server: Server) -> None:
    reply = client.post("img_gen", json={**BODY, "video_frames": 33, "fps": 16, "nobody_knows": 1})
    assert reply.status_code == 202
    accepted = reply.json()
    assert accepted.keys() == {"id", "kind", "status", "created", "poll_url"}
    assert accepted["poll_url"] == f"/sdcpp/v1/jobs/{accepted['id']}"
    job = ended(client, accepted["id"])
    assert job.keys() >= {
        "id",
        "kind",
        "status",
        "created",
        "started",
        "completed",
        "queue_position",
        "result",
        "error",
    }
    assert (job["status"], job["kind"], job["error"]) == ("completed", "img_gen", None)
    (image,) = job["result"]["images"]
    assert base64.b64decode(image["b64_json"]) == server.native_picture()


def test_pictures_come_in_the_format_that_was_asked_for(client: httpx.Client) -> None:
    job_id = client.post("img_gen", json={**BODY, "output_format": "jpeg", "output_compression": 50}).json()["id"]
    result = ended(client, job_id)["result"]
    assert Image.open(io.BytesIO(base64.b64decode(result["images"][0]["b64_json"]))).format == "JPEG"


def test_the_defaults_in_the_capabilities_make_a_picture(client: httpx.Client) -> None:
    capabilities = client.get("capabilities").json()
    assert capabilities["model"]["stem"] == "embedded"
    assert {"euler", "dpm++2m"} <= set(capabilities["samplers"])
    assert capabilities["features"]["cancel_generating"]
    defaults = capabilities["defaults_by_mode"][capabilities["current_mode"]]
    job_id = client.post("img_gen", json={**defaults, "prompt": "p", "width": 64, "height": 64}).json()["id"]
    assert ended(client, job_id)["status"] == "completed"


def test_a_running_job_can_be_cancelled(client: httpx.Client) -> None:
    slow = {**BODY, "width": 256, "height": 256, "sample_params": {"sample_steps": 1000}}
    job_id = client.post("img_gen", json=slow).json()["id"]
    while client.get(f"jobs/{job_id}").json()["status"] == "queued":
        time.sleep(0.05)
    assert client.post(f"jobs/{job_id}/cancel").json()["status"] == "cancelled"
    job = ended(client, job_id)
    assert (job["status"], job["error"]["code"]) == ("cancelled", "cancelled")
    assert client.post(f"jobs/{job_id}/cancel").status_code == 409


def test_pictures_go_in_as_data_urls(client: httpx.Client) -> None:
    stream = io.BytesIO()
    Image.new("RGBA", (64, 64), (200, 30, 30, 255)).save(stream, "PNG")
    url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    body = {**BODY, "model": "ovis", "init_image": url, "mask_image": url, "strength": 0.5}
    job = ended(client, client.post("img_gen", json=body).json()["id"])
    assert job["status"] == "completed", job["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({**BODY, "output_format": "avi"}, 400),
        ({**BODY, "sample_params": {"sample_steps": 0}}, 400),
        ({**BODY, "lora": [{"path": "nothing.safetensors"}]}, 400),
        ({**BODY, "init_image": "%%%"}, 400),
    ],
)
def test_wrong_input_is_refused(client: httpx.Client, body: dict[str, Any], status: int) -> None:
    reply = client.post("img_gen", json=body)
    assert (reply.status_code, type(reply.json()["error"])) == (status, str)


def test_an_unknown_job_is_not_found(client: httpx.Client) -> None:
    assert client.get("jobs/nothing").status_code == 404


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"sample_params": "euler"}, "sample_params"),
        ({"sample_params": {"guidance": {"txt_cfg": "much"}}}, "sample_params.guidance.txt_cfg"),
        ({"output_compression": 101}, "output_compression"),
        ({"output_format": "gif"}, "output_format"),
        ({"init_image": {"url": "x"}}, "init_image"),
        ({"sample_params": {"sample_steps": 0}}, "sample_params.sample_steps"),
    ],
)
def test_a_wrong_field_is_named(server: Server, fields: dict[str, Any], named: str) -> None:
    reply = httpx.post(f"{server.url}/sdcpp/v1/img_gen", json={"prompt": "p", **fields})
    assert reply.status_code == 400
    assert [problem["field"] for problem in reply.json()["details"]["errors"]] == [named]
