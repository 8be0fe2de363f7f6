"""Pictures edited with the `openai` package: starts, masks, references and variations."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops

from sdrest.client import Client
from tests.acceptance.clients.openai_sdk import ON_OVIS, PICTURE, as_file, decoded, sdk  # noqa: F401 - sdk is a fixture
from tests.acceptance.conftest import Server


def test_an_edit_starts_from_the_picture_in_its_size(client: Any) -> None:
    reply = client.images.edit(
        image=as_file(PICTURE), prompt="p", model="ovis", extra_body={**ON_OVIS, "strength": 0.4}
    )
    picture = decoded(reply.data[0])
    assert picture.size == PICTURE.size
    assert "Denoising strength: 0.4" in picture.info["parameters"]


@pytest.mark.parametrize("kind", ["alpha", "light", "the picture's own alpha"])
def test_masks_of_every_kind_mean_what_the_native_route_means(client: Any, server: Server, kind: str) -> None:
    light = Image.new("L", PICTURE.size)
    light.paste(255, (40, 0, 80, 48))
    clear = PICTURE.convert("RGBA")
    clear.putalpha(ImageChops.invert(light))
    arguments: dict[str, Any] = {"image": as_file(PICTURE), "prompt": "p", "model": "ovis"}
    if kind == "the picture's own alpha":
        arguments["image"] = as_file(clear)
    else:
        arguments["mask"] = as_file(light if kind == "light" else clear)
    reply = client.images.edit(**arguments, extra_body={**ON_OVIS, "strength": 0.9})
    native: dict[str, Any] = {"source_image": as_file(PICTURE)[1], "mask_image": as_file(light)[1], "strength": 0.9}
    with Client(server.url) as native_client:
        (expected,) = native_client.generate("inpainting", prompt="p", model="ovis", **native, **ON_OVIS)
        (inverse,) = native_client.generate(
            "inpainting",
            prompt="p",
            model="ovis",
            **{**native, "mask_image": as_file(ImageChops.invert(light))[1]},
            **ON_OVIS,
        )
    assert base64.b64decode(reply.data[0].b64_json) == expected != inverse


def test_several_pictures_are_references(client: Any, server: Server) -> None:
    pictures = [as_file(PICTURE, "a.png"), as_file(PICTURE.rotate(180), "b.png")]
    reply = client.images.edit(image=pictures, prompt="p", model="ovis", size="64x64", extra_body=ON_OVIS)
    job = httpx.get(f"{server.url}/api/queue/job/{reply.job_id}").json()
    assert len(job["params"]["ref_images"]) == 2
    assert decoded(reply.data[0]).size == (64, 64)


def test_numbered_parts_are_pictures_in_their_order(server: Server) -> None:
    wide, high = PICTURE, PICTURE.transpose(Image.Transpose.ROTATE_90)
    fields = {"prompt": "p", "model": "ovis", **{name: str(value) for name, value in ON_OVIS.items()}}
    files = [
        ("image[1]", as_file(high)),
        ("image[0]", as_file(wide)),
        ("mask", as_file(Image.new("L", wide.size, 255))),
    ]
    reply = httpx.post(f"{server.url}/v1/images/edits", data=fields, files=files, timeout=60)
    assert reply.status_code == 200, reply.text
    params = httpx.get(f"{server.url}/api/queue/job/{reply.json()['job_id']}").json()["params"]
    assert (params["width"], params["height"], len(params["ref_images"])) == (*wide.size, 1)


def test_two_masks_are_refused(server: Server) -> None:
    mask = as_file(Image.new("L", PICTURE.size, 255))
    files = [("image", as_file(PICTURE)), ("mask[]", mask), ("mask[]", mask)]
    reply = httpx.post(f"{server.url}/v1/images/edits", data={"prompt": "p"}, files=files)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "mask")


def test_json_with_data_urls_is_the_same_request(client: Any, server: Server) -> None:
    _, data = as_file(PICTURE)
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    body = {"image": [{"image_url": url}], "prompt": "p", "model": "ovis", **ON_OVIS, "strength": 0.4}
    by_json = httpx.post(f"{server.url}/v1/images/edits", json=body, timeout=60).json()
    by_form = client.images.edit(
        image=as_file(PICTURE), prompt="p", model="ovis", extra_body={**ON_OVIS, "strength": 0.4}
    )
    assert by_json["data"][0]["b64_json"] == by_form.data[0].b64_json


def test_variations_come_from_the_picture(client: Any) -> None:
    reply = client.images.create_variation(image=as_file(PICTURE), model="ovis", n=2, extra_body=ON_OVIS)
    first, second = (decoded(item) for item in reply.data)
    assert first.size == second.size == PICTURE.size
    assert first.tobytes() != second.tobytes()


def test_an_edit_streams_its_own_events(client: Any) -> None:
    events = client.images.edit(
        image=as_file(PICTURE),
        prompt="p",
        model="ovis",
        stream=True,
        partial_images=2,
        extra_body={**ON_OVIS, "steps": 60, "strength": 1},
    )
    kinds = [event.type for event in events]
    assert kinds[-1] == "image_edit.completed"
    assert 1 <= kinds.count("image_edit.partial_image") <= 2


def test_an_edit_without_a_picture_is_refused(server: Server) -> None:
    reply = httpx.post(f"{server.url}/v1/images/edits", files={"prompt": (None, "p")})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "image")
