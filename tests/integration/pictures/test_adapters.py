"""LoRAs, upscaling, hires, previews and sampling options on the tiny OVIS model, from HTTP to the real library."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from tests.integration.pictures.generation_modes import Client, base64_png, paint, picture, place, problems

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE: dict[str, Any] = {
    "prompt": "a red circle",
    "model": "ovis",
    "width": 32,
    "height": 32,
    "steps": 1,
    "cfg_scale": 1,
    "seed": 5,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("adapters")
    place(
        folder / "models",
        "ernie",
        "ovis",
        "tae16",
        "esrgan",
        "ovis_lora_wrong_width",
        "ovis_lora_truncated",
        ovis_lora="style/ink.safetensors",
        sd1_lora="sd1_lora.safetensors",
    )
    settings = load_settings({"models_dir": folder / "models", "data_dir": folder / "data", "log_level": "error"})
    async with TestClient(TestServer(build_app(settings))) as client:
        yield client


async def test_lora_in_the_prompt_and_in_the_list_are_the_same(client: Client) -> None:
    plain = await paint(client, "text2img", BASE)
    listed = await paint(client, "text2img", {**BASE, "loras": [{"name": "style/ink", "multiplier": 2}]})
    tagged = await paint(client, "text2img", {**BASE, "prompt": "a red circle <lora:ink:2>"})
    assert (plain != listed).any()
    assert (listed == tagged).all()


async def test_unknown_broken_and_ill_fitting_loras_are_refused_by_name(client: Client) -> None:
    found = await problems(
        client,
        "text2img",
        {
            **BASE,
            "prompt": "a <lora:imk:1>",
            "loras": [{"name": "ovis_lora_wrong_width"}, {"name": "ovis_lora_truncated"}],
        },
    )
    assert "did you mean 'ink'" in found["prompt"]
    assert "128×128 in the model and 128×160 in the LoRA" in found["loras.0.name"]
    assert "the file ends" in found["loras.1.name"]


async def test_lora_is_not_merged_into_quantized_weights(client: Client) -> None:
    body = {**BASE, "loras": [{"name": "ink"}], "lora_apply_mode": "immediately"}
    assert set(await problems(client, "text2img", body)) == {"lora_apply_mode"}


async def test_picture_is_enlarged_to_any_factor(client: Client) -> None:
    image = base64_png(picture(16, 8, "RGBA"))
    assert (await paint(client, "upscale", {"image": image, "upscale_factor": 2})).shape == (16, 32, 3)
    assert (await paint(client, "upscale", {"image": image, "upscale_factor": 6, "esrgan_model": "esrgan"})).shape == (
        48,
        96,
        3,
    )
    found = await problems(client, "upscale", {"image": image, "esrgan_model": "ovis"})
    assert set(found) == {"esrgan_model"}


async def test_too_large_an_enlargement_is_refused(client: Client) -> None:
    body = {"image": base64_png(Image.new("L", (4000, 4000))), "upscale_factor": 16}
    assert set(await problems(client, "upscale", body)) == {"upscale_factor"}


async def test_finished_picture_is_enlarged(client: Client) -> None:
    plain = await paint(client, "text2img", BASE)
    large = await paint(client, "text2img", {**BASE, "upscale_model": "esrgan", "upscale_factor": 4})
    assert (large == plain.repeat(4, 0).repeat(4, 1)).all(), "the tiny upscaler repeats each pixel"


@pytest.mark.parametrize("upscaler", ["latent", "latent_bicubic_antialiased", "lanczos", "model"])
async def test_second_pass_paints_at_a_larger_size(client: Client, upscaler: str) -> None:
    hires = {
        "enabled": True,
        "upscaler": upscaler,
        "scale": 2,
        "upscale_model": "esrgan" if upscaler == "model" else "",
    }
    assert (await paint(client, "text2img", {**BASE, "hires": hires})).shape == (64, 64, 3)


async def test_second_pass_without_its_upscaler_is_refused(client: Client) -> None:
    hires = {"enabled": True, "upscaler": "model", "target_width": 40}
    assert set(await problems(client, "text2img", {**BASE, "hires": hires})) == {
        "hires.upscale_model",
        "hires.target_width",
    }


@pytest.mark.parametrize(
    ("model", "mode"), [("ovis", "proj"), ("ovis", "tae"), ("ovis", "vae"), ("ernie", "proj"), ("ernie", "vae")]
)
async def test_previews_come_with_the_events_and_can_be_fetched(client: Client, model: str, mode: str) -> None:
    body = {**BASE, "model": model, "width": 64, "height": 32, "steps": 1000, "preview": mode}
    job_id = (await (await client.post("/api/generate/text2img", json=body)).json())["job_id"]
    async with client.get(f"/api/jobs/{job_id}/events") as stream:
        preview = await next_event(stream, "preview")
        reply = await client.get(f"/api/jobs/{job_id}/preview")
        assert reply.status == 200, "the job is far from its end"
        assert reply.content_type == "image/jpeg"
        await client.post("/api/queue/cancel", json={"job_id": job_id})
        await stream.read()
    for jpeg in (base64.b64decode(preview["image"].split(",")[1]), await reply.read()):
        shown = np.asarray(Image.open(io.BytesIO(jpeg)))
        assert shown.shape[1:] == (2 * shown.shape[0], 3)
        assert (shown.shape[0] == 32) is (mode != "proj"), "proj shows the latents as they are"
        assert shown.min() < shown.max()
    assert (await client.get(f"/api/jobs/{job_id}/preview")).status == 404


async def next_event(stream: ClientResponse, wanted: str) -> dict[str, Any]:
    """The data of the next Server-Sent Event of that name."""
    name = ""
    async for raw in stream.content:
        line = raw.decode().rstrip()
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: ") and name == wanted:
            data: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return data
    raise AssertionError(f"the stream ended without {wanted}")


#: What makes each method skip steps, in few steps and whatever the model's own errors are.
CACHES: list[dict[str, Any]] = [
    {"mode": "easycache", "reuse_threshold": 100, "start_percent": 0, "end_percent": 1},
    {"mode": "dbcache", "residual_diff_threshold": 100, "max_warmup_steps": 1, "fn_compute_blocks": 1},
    {"mode": "taylorseer", "taylorseer_n_derivatives": 1, "taylorseer_skip_interval": 2, "max_warmup_steps": 1},
    {"mode": "cache-dit", "residual_diff_threshold": 100, "max_warmup_steps": 1, "scm_mask": "1,0,0,0,0,1"},
    {"mode": "spectrum", "spectrum_warmup_steps": 2, "spectrum_window_size": 2, "spectrum_stop_percent": 1},
]


@pytest.mark.parametrize("cache", CACHES, ids=lambda cache: str(cache["mode"]))
async def test_caching_skips_steps(client: Client, cache: dict[str, Any]) -> None:
    body = {**BASE, "steps": 12}
    assert (await paint(client, "text2img", body) != await paint(client, "text2img", {**body, "cache": cache})).any()


async def test_caching_that_would_be_passed_over_is_refused(client: Client) -> None:
    assert "U-Nets" in (await problems(client, "text2img", {**BASE, "cache": {"mode": "ucache"}}))["cache.mode"]
    cache = {"mode": "easycache", "start_percent": 0.5, "end_percent": 0.4}
    assert set(await problems(client, "text2img", {**BASE, "cache": cache})) == {"cache.start_percent"}


async def test_options_of_sampling_reach_the_library(client: Client) -> None:
    body = {**BASE, "steps": 3}
    plain = await paint(client, "text2img", body)
    for change in (
        {"custom_sigmas": [1.0, 0.7, 0.2, 0.0]},
        {"flow_shift": 5.0},
        {"cfg_scale": 4.0, "skip_layers": {"layers": [0], "scale": 2.5, "start": 0.0, "end": 1.0}},
        {"cfg_scale": 4.0},
        {"sampling_method": "heun"},
        {"scheduler": "karras"},
    ):
        assert (plain != await paint(client, "text2img", {**body, **change})).any(), change


async def test_tiles_and_seamless_edges_still_make_a_picture(client: Client) -> None:
    plain = await paint(client, "text2img", BASE)
    tiled = await paint(
        client, "text2img", {**BASE, "width": 64, "height": 64, "vae_tiling": {"enabled": True, "tile_size_x": 4}}
    )
    assert tiled.std() > 3
    seamless = await paint(client, "text2img", {**BASE, "circular_x": True, "circular_y": True})
    assert np.not_equal(plain, seamless).any()
