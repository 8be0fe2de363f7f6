"""The `webuiapi` package, the usual A1111 client, against a running server."""

from __future__ import annotations

import base64
import io
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
import webuiapi
from PIL import Image, ImageChops

from sdrest.client import Client
from tests.acceptance.conftest import SMALL, Server

#: What strict clients validate of ``info``.
INFO_FIELDS = {
    *(
        "prompt",
        "all_prompts",
        "negative_prompt",
        "all_negative_prompts",
        "seed",
        "all_seeds",
        "subseed",
        "all_subseeds",
    ),
    *(
        "subseed_strength",
        "width",
        "height",
        "sampler_name",
        "cfg_scale",
        "batch_size",
        "restore_faces",
        "sd_model_name",
    ),
    *("sd_model_hash", "sd_vae_name", "sd_vae_hash", "seed_resize_from_w", "seed_resize_from_h", "denoising_strength"),
    *("extra_generation_params", "index_of_first_image", "infotexts", "styles", "job_timestamp", "clip_skip"),
    *("is_using_inpainting_conditioning", "version"),
}
#: The defaults of the native route for the embedded model, which webuiapi always sends its own values for.
AS_NATIVE = {"cfg_scale": 1.0, "sampler_name": "Euler", "scheduler": "automatic"}


@pytest.fixture
def api(server: Server) -> Any:
    make: Any = webuiapi.WebUIApi
    return make(baseurl=f"{server.url}/sdapi/v1")


def bytes_of(result: Any, index: int = 0) -> bytes:
    return base64.b64decode(result.json["images"][index])


def test_the_same_seed_gives_the_same_bytes_as_the_native_route(api: Any, server: Server) -> None:
    result = api.txt2img(**SMALL, **AS_NATIVE)
    assert bytes_of(result) == server.native_picture(cfg_scale=1.0, sampler="euler")


def test_info_is_complete(api: Any) -> None:
    result = api.txt2img(**SMALL, **AS_NATIVE, n_iter=2)
    assert result.info.keys() >= INFO_FIELDS
    assert result.info["all_seeds"] == [7, 8]
    assert len(result.images) == len(result.info["infotexts"]) == 2
    assert result.info["sampler_name"] == "Euler"
    assert isinstance(result.info["sd_model_hash"], str)
    assert result.parameters["steps"] == 2


@pytest.mark.parametrize(
    ("sampler_name", "scheduler", "used"),
    [
        ("Euler a", "automatic", ("Euler a", None)),
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "karras")),
        ("k_heun", "SGM Uniform", ("Heun", "sgm_uniform")),
        ("UniPC", "Simple", ("Euler", "simple")),
    ],
)
def test_sampler_names_are_read_loosely(
    api: Any, sampler_name: str, scheduler: str | None, used: tuple[str, str | None]
) -> None:
    result = api.txt2img(**SMALL, sampler_name=sampler_name, scheduler=scheduler)
    assert result.info["sampler_name"] == used[0]
    if used[1]:
        assert result.info["extra_generation_params"]["Schedule type"] == used[1]
    assert ("UniPC" in result.info["extra_generation_params"].get("Warnings", "")) is (sampler_name == "UniPC")


def test_clip_skip_1_is_the_models_own(api: Any) -> None:
    plain = api.txt2img(**SMALL)
    skipped = api.txt2img(**SMALL, override_settings={"CLIP_stop_at_last_layers": 1.0})
    assert bytes_of(plain) == bytes_of(skipped)


def test_png_info_reads_back_what_was_used(api: Any) -> None:
    result = api.txt2img(**SMALL)
    info = api.png_info(result.image)
    assert info.info.startswith("a red apple\n")
    assert info.parameters["Seed"] == "7"


def test_lists_have_what_clients_read(api: Any) -> None:
    assert "Euler a" in api.util_get_sampler_names()
    assert {"automatic", "karras"} <= set(api.util_get_scheduler_names())
    assert {"embedded.gguf", "ovis.gguf"} <= set(api.util_get_model_names())
    assert {item["name"] for item in api.get_upscalers()} >= {"None", "Lanczos"}
    assert {item["name"] for item in api.get_latent_upscale_modes()} >= {"Latent", "Latent (bicubic)"}
    assert api.get_memory()["ram"]["total"] > 0
    assert api.get_embeddings() == {"loaded": {}, "skipped": {}}
    for empty in (
        api.get_loras,
        api.get_sd_vae,
        api.get_hypernetworks,
        api.get_face_restorers,
        api.get_realesrgan_models,
    ):
        assert empty() == []
    assert api.get_prompt_styles() == []
    assert api.get_cmd_flags()["api"] is True
    api.check_extensions()
    assert api.has_controlnet
    assert api.controlnet_version() == 2
    assert api.controlnet_model_list() == []
    assert "canny" in api.controlnet_module_list()
    api.refresh_checkpoints()


def test_options_name_the_model_and_setting_them_all_back_changes_nothing(api: Any) -> None:
    before = api.get_options()
    assert before["sd_model_checkpoint"] == "embedded.gguf"
    assert before["samples_format"] == "png"
    api.set_options(before)
    assert api.get_options() == before
    api.util_set_model("embed")
    assert api.util_get_current_model() == "embedded.gguf"


def test_an_unknown_model_is_not_found(api: Any) -> None:
    result = httpx.post(f"{api.baseurl}/options", json={"sd_model_checkpoint": "nothing-like-it"})
    assert result.status_code == 404
    assert result.json()["error"] == "ModelNotFound"


def test_wrong_values_are_named_as_the_client_named_them(api: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        api.txt2img(**{**SMALL, "steps": 0}, denoising_strength=7, enable_hr=False)
    status, text = caught.value.args
    assert status == 422
    assert "steps" in text


@pytest.mark.parametrize(
    "body",
    [
        {"script_name": "loopback"},
        {"alwayson_scripts": {"ADetailer": {"args": [True, {"ad_model": "face_yolov8n.pt"}]}}},
        {"alwayson_scripts": {"controlnet": {"args": [{"model": "a", "module": "openpose", "image": "x"}]}}},
    ],
)
def test_what_is_not_there_is_refused(api: Any, body: dict[str, Any]) -> None:
    reply = httpx.post(f"{api.baseurl}/txt2img", json={**SMALL, **body})
    assert (reply.status_code, reply.json()["code"]) == (400, "unsupported")


def test_extras_resample_without_a_model(api: Any) -> None:
    picture = Image.new("RGB", (20, 10), "red")
    assert api.extra_single_image(picture, upscaler_1="Nearest", upscaling_resize=3).image.size == (60, 30)
    batch = api.extra_batch_images([picture, picture], upscaler_1=webuiapi.Upscaler.none, upscaling_resize=2)
    assert [image.size for image in batch.images] == [(40, 20)] * 2


def test_progress_and_interrupt_mean_the_named_job(api: Any) -> None:
    api.util_wait_for_ready(check_interval=0.2)
    slow = {**SMALL, "steps": 1000, "width": 256, "height": 256}
    replies: list[Any] = []

    def ask(task: str) -> None:
        replies.append(httpx.post(f"{api.baseurl}/txt2img", json={**slow, "force_task_id": task}, timeout=60))

    threads = [threading.Thread(target=ask, args=(task,)) for task in ("task(one)", "task(two)")]
    for number, thread in enumerate(threads, 1):
        thread.start()
        _until(lambda: api.get_progress()["state"]["job_count"] == number)  # noqa: B023
    _until(lambda: api.get_progress()["state"]["sampling_step"] > 1)
    _until(lambda: api.get_progress()["current_image"] is not None)
    now = api.get_progress()
    assert 0 < now["progress"] < 1
    assert now["state"]["job"] == "task(one)"
    waiting = httpx.post(
        f"{api.baseurl.removesuffix('/sdapi/v1')}/internal/progress", json={"id_task": "task(two)"}
    ).json()
    assert waiting["queued"]
    httpx.post(f"{api.baseurl}/interrupt", json={"force_task_id": "task(two)"})
    _until(lambda: api.get_progress()["state"]["job_count"] == 1)
    assert api.get_progress()["state"]["job"] == "task(one)"
    api.interrupt()
    for thread in threads:
        thread.join(30)
    assert [reply.status_code for reply in replies] == [200, 200]
    # Of the one that was not begun there is nothing to show.
    assert sorted(len(reply.json()["images"]) for reply in replies) == [0, 1]
    api.util_wait_for_ready(check_interval=0.2)


def test_a_model_is_unloaded_and_comes_back(api: Any) -> None:
    before = api.txt2img(**SMALL)
    assert httpx.post(f"{api.baseurl}/unload-checkpoint").status_code == 200
    assert httpx.post(f"{api.baseurl}/reload-checkpoint").status_code == 200
    assert bytes_of(api.txt2img(**SMALL)) == bytes_of(before)


def test_empty_basic_credentials_are_tolerated(api: Any) -> None:
    asked = urllib.request.Request(f"{api.baseurl}/samplers", headers={"Authorization": "Basic "})
    with urllib.request.urlopen(asked) as reply:
        assert reply.status == 200


PICTURE = Image.new("RGB", (80, 48), (200, 30, 30))
ON_OVIS: dict[str, Any] = {"prompt": "p", "steps": 2, "seed": 1, "override_settings": {"sd_model_checkpoint": "ovis"}}


def test_img2img_starts_from_the_picture(api: Any) -> None:
    result = api.img2img(images=[PICTURE], width=64, height=64, denoising_strength=0.5, cfg_scale=1, **ON_OVIS)
    assert result.image.size == (64, 64)
    assert "Denoising strength: 0.5" in result.info["infotexts"][0]
    assert result.parameters["init_images"] is None


def test_masks_mean_what_the_native_route_means(api: Any, server: Server) -> None:
    mask = Image.new("L", PICTURE.size)
    mask.paste(255, (40, 0, 80, 48))
    arguments = {"width": 80, "height": 48, "denoising_strength": 0.9, "cfg_scale": 1, "mask_blur": 0, **ON_OVIS}
    painted = api.img2img(images=[PICTURE], mask_image=mask, **arguments)
    inverse = api.img2img(images=[PICTURE], mask_image=mask, inpainting_mask_invert=1, **arguments)
    native: dict[str, Any] = {"prompt": "p", "steps": 2, "seed": 1, "model": "ovis", "cfg_scale": 1, "strength": 0.9}
    native |= {
        "sampler": "Euler a",
        "inpaint": {"only_masked": True, "padding": 0, "fill": "surroundings", "keep": True},
    }
    native |= {"width": 80, "height": 48}
    with Client(server.url) as client:
        (expected,) = client.generate("inpainting", source_image=png(PICTURE), mask_image=png(mask), **native)
        flipped = png(ImageChops.invert(mask))
        (other,) = client.generate("inpainting", source_image=png(PICTURE), mask_image=flipped, **native)
    assert (bytes_of(painted), bytes_of(inverse)) == (expected, other)
    assert expected != other


def test_only_the_masked_part_is_painted_and_the_rest_stays_byte_for_byte(api: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    mask = Image.new("L", (200, 120))
    mask.paste(255, (60, 40, 90, 70))
    result = api.img2img(
        images=[Image.fromarray(pixels)], mask_image=mask, width=64, height=64, mask_blur=2, inpaint_full_res_padding=4,
        denoising_strength=0.9, cfg_scale=1, **ON_OVIS,
    )  # fmt: skip
    made = np.asarray(result.image)
    assert made.shape == pixels.shape
    assert (made[45:65, 65:85] != pixels[45:65, 65:85]).any()
    outside = np.ones(pixels.shape[:2], bool)
    outside[30:80, 50:100] = False  # the mask, and as far as its blur reaches
    assert (made[outside] == pixels[outside]).all()
    assert "Inpaint area: Only masked" in result.info["infotexts"][0]
    assert (result.info["width"], result.info["height"]) == (200, 120)


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_extras_enlarge_by_a_model(api: Any) -> None:
    result = api.extra_single_image(PICTURE.crop((0, 0, 16, 16)), upscaler_1="esrgan", upscaling_resize=4)
    assert result.image.size == (64, 64)


def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.05)
