"""The lists and smaller routes of the A1111 API, and what goes with every reply of it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.integration.conftest import SMALL
from tests.integration.pictures.generation_modes import place

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """With an upscaler, a ControlNet, a video model, a model that lacks parts, a broken one, and prompt templates."""
    folder = tmp_path / "models"
    place(folder, "taehv", "ovis", "wan", esrgan="RealESRGAN_x4plus.safetensors")
    for name, text in {"prompts/ink.txt": "{prompt}, in ink", "neg_prompts/ink.txt": "photograph"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints" / "broken.gguf").write_bytes(b"GGUF")
    return folder


async def ask(client: Client, path: str, body: Any = None) -> Any:
    reply = await (client.get(path) if body is None else client.post(path, json=body))
    assert reply.status == 200, await reply.text()
    return await reply.json()


def base64_of(picture: Image.Image, **texts: str) -> str:
    stream, info = io.BytesIO(), PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    picture.save(stream, "PNG", pnginfo=info)
    return base64.b64encode(stream.getvalue()).decode()


def picture_of(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


async def test_lists_offer_only_what_can_run(client: Client) -> None:
    offered = {item["model_name"] for item in await ask(client, "/sdapi/v1/sd-models")}
    assert "embedded" in offered
    # One makes videos, one lacks its VAE, one cannot be read.
    assert not {"wan", "ovis", "broken"} & offered
    reply = await client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "brokem"})
    assert reply.status == 404
    assert "broken" not in await reply.text()


async def test_upscalers_have_the_names_that_clients_send(client: Client) -> None:
    names = [item["name"] for item in await ask(client, "/sdapi/v1/upscalers")]
    assert names == ["None", "Lanczos", "Nearest", "R-ESRGAN 4x+"]
    enlarged = await ask(
        client,
        "/sdapi/v1/extra-single-image",
        {"image": base64_of(Image.new("RGB", (16, 16), "red")), "upscaler_1": "R-ESRGAN 4x+", "upscaling_resize": 2},
    )
    assert picture_of(enlarged["image"]).size == (32, 32)


@pytest.mark.parametrize("upscaler", ["Lanczos", "R-ESRGAN 4x+"])
async def test_an_enlarged_picture_keeps_its_parameters(client: Client, upscaler: str) -> None:
    picture = base64_of(Image.new("RGB", (16, 16), "red"), parameters="a fox\nSteps: 3, Seed: 5, Sampler: Euler")
    asked = {"image": picture, "upscaler_1": upscaler, "upscaling_resize": 2}
    enlarged = await ask(client, "/sdapi/v1/extra-single-image", asked)
    assert enlarged["html_info"] == ""
    text = picture_of(enlarged["image"]).info["parameters"]
    assert text.startswith("a fox\nSteps: 3, Seed: 5, Sampler: Euler")
    assert text.endswith(f"Postprocess upscale by: 2, Postprocess upscaler: {upscaler}")
    read = await ask(client, "/sdapi/v1/png-info", {"image": enlarged["image"]})
    assert read["parameters"]["Seed"] == "5"


async def test_what_an_enlargement_ignores_is_told_and_faces_are_refused(client: Client) -> None:
    asked = {"image": base64_of(Image.new("RGB", (16, 16))), "upscaler_1": "Nearest"}
    told = await ask(
        client, "/sdapi/v1/extra-single-image", {**asked, "upscaler_2": "Lanczos", "extras_upscaler_2_visibility": 0.5}
    )
    assert "upscaler_2 has no effect" in told["html_info"]
    reply = await client.post("/sdapi/v1/extra-single-image", json={**asked, "gfpgan_visibility": 1})
    assert (reply.status, (await reply.json())["code"]) == (400, "unsupported")


async def test_a_size_is_filled_and_cut(client: Client) -> None:
    asked = {
        "image": base64_of(Image.new("RGB", (40, 20))), "resize_mode": 1, "upscaling_resize_w": 30, "upscaling_resize_h": 30,
        "upscaler_1": "Lanczos",
    }  # fmt: skip
    enlarged = await ask(client, "/sdapi/v1/extra-batch-images", {**asked, "imageList": [{"data": asked["image"]}]})
    assert [picture_of(image).size for image in enlarged["images"]] == [(30, 30)]


async def test_styles_are_prompt_templates(client: Client) -> None:
    assert await ask(client, "/sdapi/v1/prompt-styles") == [
        {"name": "ink", "prompt": "{prompt}, in ink", "negative_prompt": "photograph"}
    ]
    made = await ask(client, "/sdapi/v1/txt2img", {**SMALL, "prompt": "a fox", "styles": ["ink", "of old"]})
    info = json.loads(made["info"])
    assert (info["prompt"], info["negative_prompt"]) == ("a fox, in ink", "photograph")
    assert "'of old'" in info["extra_generation_params"]["Warnings"]


async def test_pictures_are_left_out_of_the_reply_when_nobody_wants_them(client: Client) -> None:
    made = await ask(client, "/sdapi/v1/txt2img", {**SMALL, "send_images": False, "unknown": [1]})
    assert made["images"] == []
    assert json.loads(made["info"])["all_seeds"] == [SMALL["seed"]]
    assert made["parameters"] == {**SMALL, "send_images": False, "unknown": [1]}


async def test_edges_are_detected(client: Client) -> None:
    picture = Image.new("RGB", (64, 64), "black")
    picture.paste("white", (32, 0, 64, 64))
    asked = {
        "controlnet_module": "canny",
        "controlnet_input_images": [base64_of(picture)],
        "controlnet_processor_res": 128,
    }
    found = await ask(client, "/controlnet/detect", asked)
    assert found["info"] == "Success"
    edges = np.asarray(picture_of(found["images"][0]))
    assert edges.shape == (128, 128, 3)
    assert edges[64, 60:68].any()
    assert not edges[64, 20:40].any()
    same = await ask(client, "/controlnet/detect", {**asked, "controlnet_module": "none"})
    assert picture_of(same["images"][0]).size == (128, 128)
    faults: tuple[dict[str, Any], ...] = (
        {"controlnet_module": "openpose"},
        {"controlnet_input_images": []},
        {"controlnet_processor_res": 1},
    )
    for wrong in faults:
        assert (await client.post("/controlnet/detect", json={**asked, **wrong})).status in {400, 422}


async def test_routes_of_controlnet(client: Client) -> None:
    assert await ask(client, "/controlnet/version") == {"version": 2}
    types = (await ask(client, "/controlnet/control_types"))["control_types"]
    assert types["Canny"]["module_list"] == ["none", "canny"]
    assert types["All"] == {
        "module_list": ["none", "canny"], "model_list": ["None"], "default_option": "none", "default_model": "None",
    }  # fmt: skip
    modules = await ask(client, "/controlnet/module_list")
    assert modules["module_list"] == list(modules["module_detail"]) == ["none", "canny"]


async def test_routes_that_answer_something_small(client: Client) -> None:
    assert (await ask(client, "/health"))["status"] == "ok"
    assert await ask(client, "/sdapi/v1/refresh-vae-and-text-encoders", {}) is None
    flags = await ask(client, "/sdapi/v1/cmd-flags")
    assert (flags["api"], flags["listen"]) == (True, False)
    memory = await ask(client, "/sdapi/v1/memory")
    assert memory["ram"]["total"] >= memory["ram"]["used"] > 0
    reply = await client.post("/sdapi/v1/interrogate", json={"image": "x", "model": "clip"})
    answer = await reply.json()
    assert (reply.status, answer["error"]) == (400, "Unsupported")
    assert "not described" in answer["detail"]
