"""Videos from HTTP to the real library on tiny Wan models: formats, control frames, what is refused."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.web.http.keys import SETTINGS
from tests.integration.pictures.generation_modes import Client, base64_png, images, picture, place, problems, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE: dict[str, Any] = {
    "prompt": "a wave",
    "model": "wan",
    "width": 32,
    "height": 32,
    "steps": 1,
    "cfg_scale": 1,
    "seed": 5,
    "video_frames": 6,
    "fps": 8,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("videos")
    place(folder / "models", "wan", "wan_vace", "wan_high_noise", "wan_lora", "taehv", "ovis", "tae16")
    settings = load_settings({"models_dir": folder / "models", "data_dir": folder / "data", "log_level": "error"})
    async with TestClient(TestServer(build_app(settings))) as client:
        yield client


async def test_pictures_that_the_model_does_not_take_are_refused(client: Client) -> None:
    image = base64_png(picture())
    found = await problems(
        client, "video", {**BASE, "init_image": image, "end_image": image, "control_frames": [image]}
    )
    assert set(found) == {"init_image", "end_image", "control_frames"}
    found = await problems(client, "video", {**BASE, "batch_count": 2, "hires": {"enabled": True}})
    assert set(found) == {"batch_count", "hires.enabled"}
    assert set(await problems(client, "video", {**BASE, "model": "ovis"})) == {"model"}
    assert set(await problems(client, "text2img", {"prompt": "a wave", "model": "wan"})) == {"model"}


async def test_lora_that_would_have_no_effect_on_the_high_noise_model_is_refused(client: Client) -> None:
    body = {**BASE, "loras": [{"name": "wan_lora", "high_noise": True}]}
    assert "no high-noise half" in (await problems(client, "video", body))["loras"]
    body |= {"high_noise_model": "wan_high_noise"}
    assert "quantized" in (await problems(client, "video", body))["loras"]


async def test_video_is_one_file_with_a_thumbnail(client: Client) -> None:
    job = await submit(client, "video", BASE)
    assert job["status"] == "completed", job
    assert job["params"]["video_frames"] == 5
    assert any("prompt has no effect" in warning for warning in job["warnings"])
    response = await client.get(job["output_urls"][0])
    assert response.content_type == "video/webm"
    assert (await response.read()).startswith(b"\x1a\x45\xdf\xa3")
    thumbnail = await client.get(job["output_urls"][0] + "?thumb=1&size=16")
    assert Image.open(io.BytesIO(await thumbnail.read())).size == (16, 16)


@pytest.mark.nightly
async def test_frames_are_pictures(client: Client) -> None:
    job = await submit(client, "video", {**BASE, "video_format": "frames", "preview": "proj"})
    frames = await images(client, job)
    assert len(frames) == 5
    assert (frames[0] != frames[4]).any()


@pytest.mark.nightly
async def test_control_frames_and_reference_steer_a_vace_model(client: Client) -> None:
    body = {**BASE, "model": "wan_vace", "video_format": "frames"}
    plain = await images(client, await submit(client, "video", body))
    control = [base64_png(picture(20 + 5 * index, 40)) for index in range(5)]
    steered = await images(client, await submit(client, "video", {**body, "control_frames": control}))
    referred = await images(client, await submit(client, "video", {**body, "init_image": base64_png(picture())}))
    assert len(plain) == len(steered) == len(referred) == 5
    assert (plain[0] != steered[0]).any()
    assert (plain[0] != referred[0]).any()


async def test_deleting_a_video_deletes_its_file(client: Client) -> None:
    job = await submit(client, "video", {**BASE, "seed": 6})
    folder = client.app[SETTINGS].output_dir / job["job_id"]
    assert [file.name for file in folder.iterdir()] == job["outputs"]
    assert (await client.delete(f"/v1/videos/{job['job_id']}")).status == 200
    assert not folder.exists()


async def test_deleting_a_video_that_is_being_made_ends_it_first(client: Client) -> None:
    reply = await client.post("/v1/videos", json={**BASE, "seed": 7, "steps": 1000})
    video_id = (await reply.json())["id"]
    assert (await client.delete(f"/v1/videos/{video_id}")).status == 200
    assert (await client.get(f"/v1/videos/{video_id}")).status == 404
    assert not (client.app[SETTINGS].output_dir / video_id).exists()
