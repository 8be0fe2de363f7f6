"""Sizes are judged before any picture is decoded or made, on every route; what is in work at the same time is bounded."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.core import bounds
from sdrest.core.events import JobChanged
from sdrest.web.http.keys import JOBS, ROOMS
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import place

Client = TestClient[Any, Any]


def picture(width: int = 8, height: int = 8) -> str:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


async def faults(client: Client, path: str, body: dict[str, Any]) -> tuple[int, str]:
    reply = await client.post(path, json=body)
    return reply.status, await reply.text()


@pytest.fixture
def never_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is resized in this test."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("resized before the size was judged")

    monkeypatch.setattr(Image.Image, "resize", refuse)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize(
    ("size", "field"),
    [
        ({"width": 60_000, "height": 60_000}, "width"),
        ({"width": 64, "height": 4097}, "height"),
        ({"width": -64, "height": 64}, "width"),
        ({"width": 64, "height": 15}, "height"),
        ({"width": 0, "height": 64}, "width"),
        ({"width": "wide", "height": 64}, "width"),
        ({"mask_blur": bounds.MASK_BLUR_PX + 1}, "mask_blur"),
    ],
)
async def test_img2img_of_a1111_refuses_a_size_by_its_field(
    client: Client, never_resized: None, mode: int, size: dict[str, Any], field: str
) -> None:
    body = {**SMALL, "init_images": [picture()], "mask": picture(), "resize_mode": mode, **size}
    status, text = await faults(client, "/sdapi/v1/img2img", body)
    assert status == 422, text
    assert field in text


@pytest.mark.parametrize(
    "how",
    [
        {"upscaling_resize": 2_000},
        {"upscaling_resize": -1},
        {"upscaling_resize": "NaN"},
        {"resize_mode": 1, "upscaling_resize_w": 16_384, "upscaling_resize_h": 16_384},
        {"resize_mode": 1, "upscaling_resize_w": -5, "upscaling_resize_h": 5},
    ],
)
async def test_enlarging_refuses_a_size(client: Client, never_resized: None, how: dict[str, Any]) -> None:
    status, text = await faults(client, "/sdapi/v1/extra-single-image", {"image": picture(), **how})
    assert status == 422, text
    assert "upscaling_resize" in text


async def test_guests_are_held_to_their_bounds_before_anything_is_resized(
    client_factory: ClientFactory, never_resized: None
) -> None:
    client = await client_factory(auth="optional", guest_max_pixels=64 * 64)
    for path, body in (
        ("/sdapi/v1/img2img", {**SMALL, "init_images": [picture()], "resize_mode": 1, "width": 64, "height": 80}),
        ("/sdapi/v1/extra-single-image", {"image": picture(), "upscaling_resize": 9}),
        ("/sdapi/v1/extra-batch-images", {"imageList": [{"data": picture()}], "upscaling_resize": 9}),
    ):
        status, text = await faults(client, path, body)
        assert status == 403, text
        assert "you may ask for" in text


async def test_one_request_may_hold_so_many_pixels(client_factory: ClientFactory) -> None:
    client = await client_factory(max_pixels_at_once=200, max_image_pixels=100)
    body = {**SMALL, "ref_images": [picture(10, 10)] * 3}
    reply = await client.post("/api/generate/text2img", json=body)
    assert reply.status == 400
    assert "pixels in all" in await reply.text()


async def test_a_request_waits_until_there_is_room_for_its_pictures(client_factory: ClientFactory) -> None:
    client = await client_factory(max_pixels_at_once=100, max_image_pixels=100)
    assert client.app is not None
    room = client.app[ROOMS].pixels
    await room.take(100)
    waiting = asyncio.create_task(client.post("/api/image/resize", json={"image": picture(), "width": 6, "height": 6}))
    crop = {"image": picture(20, 20), "width": 4, "height": 4}
    assert (await client.post("/api/image/crop", json=crop)).status == 400
    assert not waiting.done()
    room.give_back(100)
    assert (await waiting).status == 200
    assert (await client.post("/api/image/resize", json={"image": picture(), "width": 7, "height": 6})).status == 400
    assert room.taken == 0


async def test_bodies_beyond_what_the_server_holds_at_once_come_again_later(client_factory: ClientFactory) -> None:
    client = await client_factory(max_body_bytes_at_once=100_000, max_body_bytes=100_000)
    assert client.app is not None
    room = client.app[ROOMS].body_bytes
    assert room.try_take(99_000)
    reply = await client.post("/api/validate", json={**SMALL, "negative_prompt": "x" * 2000})
    assert reply.status == 429
    assert int(reply.headers["Retry-After"]) > 0
    room.give_back(99_000)
    assert (await client.post("/api/validate", json={**SMALL, "negative_prompt": "x" * 2000})).status == 200
    assert room.taken == 0


async def test_nothing_is_held_after_a_job_is_stored_or_refused(client: Client) -> None:
    assert client.app is not None
    rooms = client.app[ROOMS]
    for path, body in (
        ("/sdapi/v1/img2img", {**SMALL, "init_images": [picture()], "resize_mode": 2}),
        ("/v1/images/edits", {"prompt": "x", "image": picture(), "size": "64x64", "steps": 1}),
        ("/api/generate/img2img", {**SMALL, "init_image": picture()}),
        ("/api/generate/img2img", {**SMALL, "init_image": picture(), "width": 1}),
    ):
        await client.post(path, json=body)
        assert (rooms.pixels.taken, rooms.body_bytes.taken) == (0, 0), path


async def test_a_request_that_waits_for_its_job_holds_no_picture(client_factory: ClientFactory, tmp_path: Path) -> None:
    place(tmp_path / "models", "ovis", "tae16")
    client = await client_factory(default_model="ovis")
    assert client.app is not None
    jobs, rooms = client.app[JOBS], client.app[ROOMS]
    await client.post("/api/queue/pause")
    body = {**SMALL, "init_images": [picture(64, 64)], "resize_mode": 1}
    changes = jobs.broadcast.subscribe()
    waiting = asyncio.create_task(client.post("/sdapi/v1/img2img", json=body))
    stored = await anext(aiter(changes))
    assert isinstance(stored, JobChanged)
    while rooms.pixels.taken or rooms.body_bytes.taken:
        await asyncio.sleep(0)
    assert not waiting.done()
    assert (await client.post("/api/queue/cancel", json={"job_id": stored.job.id})).status == 200
    await waiting
