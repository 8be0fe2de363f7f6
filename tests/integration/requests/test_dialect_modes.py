"""Videos and adapters through the dialects: the same bytes as on the native routes."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from tests.integration.pictures.generation_modes import Client, base64_png, picture, place, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

VIDEO: dict[str, Any] = {
    "prompt": "a wave", "model": "wan", "width": 32, "height": 32, "seed": 5, "video_frames": 5, "fps": 8,
}  # fmt: skip
PICTURE: dict[str, Any] = {
    "prompt": "a boat", "model": "ovis", "width": 64, "height": 64, "steps": 2, "cfg_scale": 1, "seed": 3,
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("dialects")
    place(folder / "models", "wan", "taehv", "ovis", "tae16", "ovis_lora")
    settings = load_settings({"models_dir": folder / "models", "data_dir": folder / "data", "log_level": "error"})
    async with TestClient(TestServer(build_app(settings))) as client:
        yield client


async def read(client: Client, url: str) -> bytes:
    reply = await client.get(url)
    assert reply.status == 200, await reply.text()
    return await reply.read()


@pytest.mark.slow
async def test_a_video_through_the_librarys_own_api(client: Client) -> None:
    body = {**VIDEO, "sample_params": {"sample_method": "euler", "sample_steps": 1, "guidance": {"txt_cfg": 1.0}}}
    reply = await client.post("/sdcpp/v1/vid_gen", json=body)
    accepted = await reply.json()
    assert (reply.status, accepted.get("kind")) == (202, "vid_gen"), accepted
    async with asyncio.timeout(90):
        while (job := await (await client.get(accepted["poll_url"])).json())["status"] in {"queued", "generating"}:
            await asyncio.sleep(0.1)
    assert job["status"] == "completed", job
    assert (job["result"]["fps"], job["result"]["frame_count"]) == (8, 5)
    assert base64.b64decode(job["result"]["b64_json"]).startswith(b"\x1a\x45\xdf\xa3")


@pytest.mark.slow
async def test_a_video_through_the_openai_api(client: Client) -> None:
    reply = await client.post("/v1/videos", json={**VIDEO, "size": "32x32", "steps": 1, "cfg_scale": 1})
    video = await reply.json()
    assert (reply.status, video.get("object")) == (200, "video"), video
    async with asyncio.timeout(90):
        while (video := await (await client.get(f"/v1/videos/{video['id']}")).json())["status"] in {
            "queued",
            "in_progress",
        }:
            await asyncio.sleep(0.1)
    assert (video["status"], video["progress"]) == ("completed", 100), video
    assert (await read(client, f"/v1/videos/{video['id']}/content"))[4:8] == b"ftyp"
    assert video["id"] in {item["id"] for item in (await (await client.get("/v1/videos")).json())["data"]}


async def test_a_lora_gives_the_same_bytes_through_every_dialect(client: Client) -> None:
    job = await submit(client, "text2img", {**PICTURE, "loras": [{"name": "ovis_lora", "multiplier": 0.8}]})
    with_lora = await read(client, job["output_urls"][0])
    plain = await read(client, (await submit(client, "text2img", PICTURE))["output_urls"][0])
    assert pixels(with_lora).tobytes() != pixels(plain).tobytes()

    tagged = {**PICTURE, "prompt": "a boat <lora:ovis_lora:0.8>"}
    a1111 = await client.post(
        "/sdapi/v1/txt2img",
        json={**tagged, "override_settings": {"sd_model_checkpoint": "ovis"}, "sampler_name": "Euler"},
    )
    openai = await client.post(
        "/v1/images/generations",
        json={
            **PICTURE,
            "size": "64x64",
            "response_format": "b64_json",
            "loras": [{"name": "ovis_lora", "multiplier": 0.8}],
        },
    )
    found = [(await a1111.json())["images"][0], (await openai.json())["data"][0]["b64_json"]]
    for text in found:
        assert np.array_equal(pixels(base64.b64decode(text)), pixels(with_lora))


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.nightly
async def test_a_controlnet_unit_gives_the_same_bytes_as_the_native_route(tmp_path: Path) -> None:
    place(tmp_path / "models", "sd1", "controlnet")
    settings = load_settings({"models_dir": tmp_path / "models", "data_dir": tmp_path / "data", "log_level": "error"})
    body = {"prompt": "a boat", "width": 64, "height": 64, "steps": 1, "cfg_scale": 1, "seed": 3}
    edges = base64_png(picture())
    async with TestClient(TestServer(build_app(settings))) as client:
        native = {**body, "model": "sd1", "control_net_model": "controlnet", "control_image": edges}
        job = await submit(client, "controlnet", {**native, "control_strength": 0.5, "sampling_method": "euler"})
        expected = pixels(await read(client, job["output_urls"][0]))
        unit = {"enabled": True, "image": edges, "model": "controlnet", "module": "none", "weight": 0.5}
        reply = await client.post(
            "/sdapi/v1/txt2img",
            json={
                **body,
                "sampler_name": "Euler",
                "override_settings": {"sd_model_checkpoint": "sd1"},
                "alwayson_scripts": {"ControlNet": {"args": [unit]}},
            },
        )
        found = await reply.json()
        assert reply.status == 200, found
        assert np.array_equal(pixels(base64.b64decode(found["images"][0])), expected)
