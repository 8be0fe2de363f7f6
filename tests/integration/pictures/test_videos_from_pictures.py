"""Videos that start from pictures or that two models share, from HTTP to the real library on tiny Wan models.

The widths of these models are fixed, so a video takes seconds and up to 9 GB: all nightly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.core.events import JobChanged, JobProgressed
from sdrest.core.job import TERMINAL_STATES, Phase
from sdrest.web.http.keys import JOBS
from tests.integration.pictures.generation_modes import Client, base64_png, images, picture, place, problems, submit
from tests.needs import needs

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.nightly, pytest.mark.timeout(600)]
BASE: dict[str, Any] = {
    "prompt": "a wave",
    "width": 32,
    "height": 32,
    "steps": 1,
    "cfg_scale": 1,
    "seed": 5,
    "video_frames": 5,
    "video_format": "frames",
}
PAIR: dict[str, Any] = {**BASE, "model": "pair_low_noise", "steps": 2, "high_noise": {"steps": 1, "cfg_scale": 1}}
FIRST = base64_png(picture(40, 24))
LAST = base64_png(picture(24, 40).rotate(90))

Frames = list[np.ndarray[Any, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("videos")
    place(
        folder / "models",
        "wan_i2v",
        "wan_ti2v",
        "wan_lora",
        "wan_other_high_noise",
        "clip_vision",
        "clip_vision_other",
        "taehv",
        "taehv48",
        wan="pair_low_noise.gguf",
        wan_high_noise="pair_high_noise.gguf",
        wan_half="wan_half.safetensors",
    )
    place(folder / "models", wan_half="wan_half_high.safetensors")
    settings = load_settings({"models_dir": folder / "models", "data_dir": folder / "data", "log_level": "error"})
    async with TestClient(TestServer(build_app(settings))) as client:
        yield client


async def film(client: Client, body: dict[str, Any]) -> Frames:
    """The frames of a video."""
    frames = await images(client, await submit(client, "video", body))
    assert len(frames) == 5
    assert max(frame.std() for frame in frames) > 3
    return frames


def differ(first: Frames, second: Frames) -> bool:
    """Whether any pixel of any frame differs."""
    return bool((np.stack(first) != np.stack(second)).any())


async def test_first_and_last_picture_shape_the_video(client: Client) -> None:
    body = {**BASE, "model": "wan_i2v", "clip_vision_model": "clip_vision_h", "init_image": FIRST}
    plain = await film(client, body)
    assert differ(plain, await film(client, {**body, "init_image": LAST}))
    assert differ(plain, await film(client, {**body, "end_image": LAST}))


async def test_what_clip_sees_shapes_the_video_and_pictures_may_be_left_out(client: Client) -> None:
    body = {**BASE, "model": "wan_i2v", "init_image": FIRST}
    seen = [await film(client, {**body, "clip_vision_model": name}) for name in ("clip_vision_h", "clip_vision_other")]
    assert differ(*seen)
    assert differ(seen[0], await film(client, {**body, "init_image": "", "clip_vision_model": "clip_vision_h"}))


async def test_first_picture_stays_in_a_model_of_text_and_pictures(client: Client) -> None:
    body = {**BASE, "model": "wan_ti2v", "width": 64, "height": 64}
    plain = await film(client, body)
    started = await film(client, {**body, "init_image": FIRST})
    assert differ(plain, started)
    assert differ(started, await film(client, {**body, "init_image": LAST}))
    assert set(await problems(client, "video", {**body, "end_image": LAST, "width": 48})) == {"end_image", "width"}


async def test_second_model_is_found_by_its_name_or_named(client: Client) -> None:
    pair = await film(client, PAIR)
    assert differ(pair, await film(client, {**PAIR, "high_noise_model": "wan_other_high_noise"}))
    assert not differ(pair, await film(client, {**PAIR, "high_noise_model": "pair_high_noise"}))


async def test_each_of_two_models_samples_in_its_own_way(client: Client) -> None:
    body = {**PAIR, "high_noise": {"steps": 2, "cfg_scale": 1}}
    plain = await film(client, body)
    for change in ({"steps": 1}, {"sampler": "heun"}):
        assert differ(plain, await film(client, {**body, "high_noise": {**body["high_noise"], **change}})), change
    assert differ(plain, await film(client, {**body, "steps": 1}))


@pytest.mark.parametrize(("boundary", "steps"), [(0.0, 1), (0.5, 1), (1.0, 2)])
async def test_models_change_over_at_a_noise_level(client: Client, boundary: float, steps: int) -> None:
    body = {**PAIR, "steps": steps, "high_noise": {"steps": -1, "cfg_scale": 1}, "moe_boundary": boundary}
    await film(client, body)


async def test_progress_counts_the_steps_of_both_models(client: Client) -> None:
    assert client.app is not None
    jobs = client.app[JOBS]
    events = jobs.broadcast.subscribe(lambda event: isinstance(event, JobProgressed | JobChanged))
    response = await client.post("/api/generate/video", json={**PAIR, "steps": 3})
    assert response.status == 202
    seen = []
    async for event in events:
        if isinstance(event, JobProgressed) and event.progress.phase is Phase.SAMPLE and event.progress.steps:
            seen.append((event.progress.step, event.progress.steps))
        elif isinstance(event, JobChanged) and event.job.state in TERMINAL_STATES:
            break
    jobs.broadcast.unsubscribe(events)
    assert seen == sorted(seen)
    assert seen[-1] == (4, 4)


@needs("memory")
async def test_lora_goes_to_the_model_it_is_for(client: Client) -> None:
    body = {**PAIR, "model": "wan_half", "high_noise_model": "wan_half_high"}
    plain = await film(client, body)
    lora = {"name": "wan_lora", "multiplier": 5}
    low = await film(client, {**body, "loras": [lora]})
    high = await film(client, {**body, "loras": [{**lora, "high_noise": True}]})
    assert differ(plain, low)
    assert differ(plain, high)
    assert differ(low, high)
    found = await problems(
        client, "video", {**body, "loras": [{**lora, "high_noise": True}], "lora_apply_mode": "at_runtime"}
    )
    assert "at_runtime" in found["loras"]


@pytest.mark.timeout(1800)
@needs("memory")
async def test_first_last_frame_model_looks_at_both_pictures(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("large")
    place(folder / "models", "wan_first_last", "clip_vision", "taehv")
    settings = load_settings({"models_dir": folder / "models", "data_dir": folder / "data", "log_level": "error"})
    async with TestClient(TestServer(build_app(settings))) as client:
        body = {**BASE, "model": "wan_first_last", "init_image": FIRST, "end_image": LAST}
        plain = await film(client, body)
        assert differ(plain, await film(client, {**body, "init_image": LAST}))
        assert differ(plain, await film(client, {**body, "end_image": FIRST}))
