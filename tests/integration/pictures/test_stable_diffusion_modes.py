"""Embeddings, ControlNet, TAESD, VAE override, CLIP skip and PhotoMaker on full-width tiny models: slow, so mostly nightly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.core.names import Sampler, Scheduler
from tests.integration.pictures.generation_modes import (
    Client,
    base64_png,
    half_mask,
    paint,
    picture,
    place,
    problems,
    submit,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE: dict[str, Any] = {
    "prompt": "a cat",
    "model": "sd1_tiny",
    "width": 64,
    "height": 64,
    "steps": 1,
    "cfg_scale": 1,
    "seed": 5,
}
FULL: dict[str, Any] = {**BASE, "model": "sd1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("sd")
    place(
        folder / "models",
        "sd1",
        "sd1_tiny",
        "sdxl",
        "photomaker",
        "controlnet",
        "taesd",
        "tae16",
        "sd1_lora",
        "ovis",
        embedding="word/tinyword.safetensors",
        embedding_f16="halfword.safetensors",
    )
    settings = load_settings({"models_dir": folder / "models", "data_dir": folder / "data", "log_level": "error"})
    async with TestClient(TestServer(build_app(settings))) as client:
        yield client


async def test_parts_of_other_models_are_refused(client: Client) -> None:
    image = base64_png(picture())
    found = await problems(client, "text2img", {**BASE, "vae_model": "tae16"})
    assert set(found) == {"vae_model"}
    found = await problems(client, "text2img", {**BASE, "taesd_model": "tae16"})
    assert "does not fit" in found["taesd_model"]
    body = {**BASE, "model": "ovis", "control_image": image, "control_net_model": "controlnet"}
    assert set(await problems(client, "controlnet", body)) == {"control_net_model"}
    body["model"] = "sd1_tiny"  # of the same family, with fewer blocks: the library ends the process
    assert set(await problems(client, "controlnet", body)) == {"control_net_model"}
    found = await problems(client, "text2img", {**BASE, "ref_images": [image]})
    assert set(found) == {"ref_images"}


async def test_caching_of_other_architectures_is_refused(client: Client) -> None:
    for mode in ("easycache", "dbcache", "taylorseer", "cache-dit"):
        assert set(await problems(client, "text2img", {**BASE, "cache": {"mode": mode}})) == {"cache.mode"}


@pytest.mark.nightly
async def test_caching_skips_steps_of_a_unet(client: Client) -> None:
    body = {**BASE, "steps": 6}
    plain = await paint(client, "text2img", body)
    cache = {"mode": "ucache", "reuse_threshold": 100, "start_percent": 0, "end_percent": 1}
    assert (plain != await paint(client, "text2img", {**body, "cache": cache})).any()


async def test_photo_maker_needs_its_word_its_model_and_sdxl(client: Client) -> None:
    image = base64_png(picture())
    found = await problems(client, "text2img", {**BASE, "pm_id_images": [image]})
    assert set(found) == {"photo_maker_model", "prompt"}


@pytest.mark.nightly
async def test_word_of_an_embedding_changes_the_picture(client: Client) -> None:
    plain = await paint(client, "text2img", {**BASE, "prompt": "a cat"})
    with_word = await paint(client, "text2img", {**BASE, "prompt": "a Tinyword"})
    assert with_word.std() > 3
    assert (plain != with_word).any()
    half = await paint(client, "text2img", {**BASE, "prompt": "a halfword"})
    assert half.std() > 3, "the library itself paints one flat colour with an embedding in F16"
    assert np.abs(half.astype(int) - with_word).mean() < 1 + np.abs(plain.astype(int) - with_word).mean() / 4


@pytest.mark.nightly
async def test_clip_skip_one_is_the_models_own(client: Client) -> None:
    plain = await paint(client, "text2img", BASE)
    assert (plain == await paint(client, "text2img", {**BASE, "clip_skip": 1})).all()
    assert (plain != await paint(client, "text2img", {**BASE, "clip_skip": 2})).any()


@pytest.mark.nightly
async def test_tiny_autoencoder_and_lora_change_the_picture(client: Client) -> None:
    plain = await paint(client, "text2img", BASE)
    assert (plain != await paint(client, "text2img", {**BASE, "taesd_model": "taesd"})).any()
    assert (plain != await paint(client, "text2img", {**BASE, "loras": [{"name": "sd1_lora", "multiplier": 3}]})).any()


@pytest.mark.nightly
async def test_masked_picture_with_the_models_own_vae(client: Client) -> None:
    body = {**BASE, "source_image": base64_png(picture()), "mask_image": base64_png(half_mask()), "steps": 2}
    assert (await paint(client, "inpainting", body)).shape == (64, 64, 3)


@pytest.mark.nightly
async def test_control_picture_steers_with_and_without_edges(client: Client) -> None:
    body = {**FULL, "control_net_model": "controlnet", "control_strength": 1.0}
    first = await paint(client, "controlnet", {**body, "control_image": base64_png(picture())})
    other = await paint(client, "controlnet", {**body, "control_image": base64_png(picture(30, 90).rotate(90))})
    edges = await paint(client, "controlnet", {**body, "control_image": base64_png(half_mask()), "canny": True})
    assert (first != other).any()
    assert edges.std() > 3


@pytest.mark.nightly
@pytest.mark.timeout(600)  # a U-Net of SDXL is loaded twice
async def test_photo_changes_the_person(client: Client) -> None:
    body = {
        **BASE,
        "model": "sdxl",
        "steps": 2,
        "prompt": "a man img, on white",
        "photo_maker_model": "photomaker",
        "pm_style_strength": 0,
    }
    first = await paint(client, "text2img", {**body, "pm_id_images": [base64_png(picture(90, 70))]})
    other = await paint(client, "text2img", {**body, "pm_id_images": [base64_png(picture(90, 70).rotate(90))]})
    assert first.std() > 3
    assert np.not_equal(first, other).any()


@pytest.mark.nightly
@pytest.mark.parametrize("scheduler", Scheduler)
async def test_every_scheduler_samples(client: Client, scheduler: Scheduler) -> None:
    job = await submit(client, "text2img", {**BASE, "steps": 2, "scheduler": scheduler})
    assert job["status"] == "completed", job["failure"]


@pytest.mark.nightly
@pytest.mark.parametrize("sampler", Sampler)
async def test_every_sampler_samples(client: Client, sampler: Sampler) -> None:
    job = await submit(client, "text2img", {**BASE, "steps": 2, "sampling_method": sampler})
    assert job["status"] == "completed", job["failure"]
