"""img2img, inpainting, outpainting and reference editing, from HTTP to the real library, on the tiny OVIS model."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.core.events import ModelChanged
from sdrest.web.http.keys import JOBS
from tests.integration.pictures.generation_modes import (
    Client,
    base64_png,
    half_mask,
    images,
    paint,
    picture,
    place,
    problems,
    submit,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE: dict[str, Any] = {"prompt": "a red circle", "model": "ovis", "steps": 1, "cfg_scale": 1, "seed": 5}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("pictures")
    place(folder / "models", "ovis", "tae16", "ernie")
    settings = load_settings({"models_dir": folder / "models", "data_dir": folder / "data", "log_level": "error"})
    async with TestClient(TestServer(build_app(settings))) as client:
        yield client


async def test_picture_starts_from_the_initial_one_in_its_size(client: Client) -> None:
    body = {**BASE, "init_image": base64_png(picture(80, 48)), "steps": 4, "strength": 0.4}
    image = await paint(client, "img2img", body)
    assert image.shape == (48, 80, 3)
    other = await paint(client, "img2img", {**body, "init_image": base64_png(picture(80, 48).rotate(180))})
    assert (image != other).any()


async def test_text_and_initial_picture_share_a_context(client: Client) -> None:
    await submit(client, "text2img", {**BASE, "width": 32, "height": 32})
    assert client.app is not None
    events = client.app[JOBS].broadcast.subscribe(lambda event: isinstance(event, ModelChanged))
    await submit(client, "img2img", {**BASE, "init_image": base64_png(picture(32, 32, "RGBA"))})
    events.close()
    assert not [event async for event in events]


async def test_white_is_repainted_and_black_kept(client: Client) -> None:
    source = picture(64, 64)
    body = {**BASE, "source_image": base64_png(source), "strength": 0.9}
    masked = await paint(client, "inpainting", {**body, "mask_image": base64_png(half_mask(32, 32))})
    other_seed = await paint(client, "inpainting", {**body, "mask_image": base64_png(half_mask(32, 32)), "seed": 6})
    difference = np.abs(masked.astype(int) - other_seed.astype(int)).mean(axis=(0, 2))
    assert difference[40:].mean() > 4 * max(difference[:24].mean(), 0.01)


async def test_borders_are_added_and_painted(client: Client) -> None:
    body = {**BASE, "source_image": base64_png(picture()), "outpaint": {"right": 32, "feather": 4}}
    image = await paint(client, "inpainting", {**body, "strength": 1.0})
    assert image.shape == (64, 96, 3)
    other = await paint(client, "inpainting", {**body, "strength": 1.0, "seed": 6})
    difference = np.abs(image.astype(int) - other.astype(int)).mean(axis=(0, 2))
    assert difference[72:].mean() > 2 * max(difference[:48].mean(), 0.01)


async def test_reference_picture_changes_the_result(client: Client) -> None:
    body = {**BASE, "width": 64, "height": 64}
    plain = await paint(client, "text2img", body)
    edited = await paint(client, "text2img", {**body, "ref_images": [base64_png(picture())]})
    assert (plain != edited).any()


async def test_batch_counts_seeds_up(client: Client) -> None:
    body = {**BASE, "init_image": base64_png(picture())}
    job = await submit(client, "img2img", {**body, "batch_count": 2})
    _, second = await images(client, job)
    assert [item["seed"] for item in job["images"]] == [5, 6]
    assert (second == await paint(client, "img2img", {**body, "seed": 6})).all()


async def test_missing_and_meaningless_pictures_are_named(client: Client) -> None:
    assert "init_image" in await problems(client, "img2img", {**BASE, "init_image": ""})
    found = await problems(client, "inpainting", {**BASE, "source_image": base64_png(picture())})
    assert set(found) == {"mask_image"}
    found = await problems(client, "inpainting", {**BASE, "source_image": "", "mask_image": base64_png(half_mask())})
    assert set(found) == {"source_image", "mask_image"}
    found = await problems(client, "inpainting", {**BASE, "init_image": base64_png(picture())})
    assert set(found) == {"source_image", "init_image"}
    assert "unknown field" in found["init_image"]
    found = await problems(client, "text2img", {**BASE, "mask_image": base64_png(half_mask()), "width": 70})
    assert set(found) == {"mask_image", "width"}


async def test_one_pixel_is_enlarged_and_a_giant_refused(client: Client) -> None:
    image = await paint(client, "img2img", {**BASE, "init_image": base64_png(picture(2, 2).crop((0, 0, 1, 1)))})
    assert image.shape == (16, 16, 3)
    for size in ((20_000, 1), (20_000, 20_000)):
        giant = base64_png(Image.new("1", size))
        assert "init_image" in await problems(client, "img2img", {**BASE, "init_image": giant})


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
async def test_pictures_of_every_mode_go_in(client: Client, mode: str) -> None:
    source = picture(32, 32, "L").convert("I;16") if mode == "I;16" else picture(32, 32, mode)
    stream = io.BytesIO()
    source.save(stream, "TIFF")
    image = base64.b64encode(stream.getvalue()).decode()
    assert (await paint(client, "img2img", {**BASE, "init_image": image, "width": 16, "height": 16})).shape == (
        16,
        16,
        3,
    )


async def test_model_without_encoder_refuses_pictures(client: Client) -> None:
    found = await problems(client, "img2img", {**BASE, "model": "ernie", "init_image": base64_png(picture())})
    assert "no encoder" in found["init_image"]
