"""A1111's scripts that make many pictures of one body, on the built-in model."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]
BASE = {**SMALL, "steps": 1}


async def made(client: Client, body: dict[str, Any], status: int = 200) -> tuple[list[tuple[int, int]], dict[str, Any]]:
    """Sizes of the pictures, and what is told of them."""
    reply = await client.post("/sdapi/v1/txt2img", json={**BASE, **body})
    found: dict[str, Any] = await reply.json()
    assert reply.status == status, found
    if status != 200:
        return [], found
    return [Image.open(io.BytesIO(base64.b64decode(image))).size for image in found["images"]], json.loads(
        found["info"]
    )


async def test_an_xyz_plot_answers_with_its_grid_and_where_asked_with_its_pictures(client: Client) -> None:
    axes: list[Any] = [4, "1-2", [], 7, "apple, pear", [], 0, "", []]
    arguments = [*axes, True, False, False, False, 0, True]
    sizes, told = await made(client, {"script_name": "x/y/z plot", "script_args": arguments})
    assert len(sizes) == 1
    assert min(sizes[0]) > 2 * 64
    assert told["infotexts"][0].endswith('X Type: Steps, X Values: "1, 2", Y Type: Prompt S/R, Y Values: "apple, pear"')
    whole = [*arguments]
    whole[9:11] = [False, True]  # no legend, but the pictures
    sizes, told = await made(client, {"script_name": "X/Y/Z plot", "script_args": whole, "seed": -1})
    assert sizes[1:] == [(64, 64)] * 4
    assert sizes[0] == (8 + 2 * 72, 8 + 2 * 72)
    assert told["index_of_first_image"] == 1
    assert told["all_prompts"][1:] == ["a red apple", "a red apple", "a red pear", "a red pear"]
    assert len(set(told["all_seeds"])) == 1


async def test_each_value_of_z_has_a_grid_of_its_own(client: Client) -> None:
    axes = ["Steps", "1", [], "CFG Scale", "1", [], "Seed", "3, 4", []]
    sizes, _ = await made(client, {"script_name": "x/y/z plot", "script_args": [*axes, True, False, True]})
    assert len(sizes) == 3
    assert sizes[1] == sizes[2]


async def test_prompts_are_made_line_by_line(client: Client) -> None:
    text = 'a red apple\n--prompt "a green pear" --seed 9 --steps 2\n\na cat -- sitting'
    sizes, told = await made(
        client, {"script_name": "prompts from file or textbox", "script_args": [True, False, text]}
    )
    assert sizes == [(64, 64)] * 3
    assert told["all_prompts"] == ["a red apple", "a green pear", "a cat -- sitting"]
    assert told["all_seeds"] == [7, 9, 9]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "no axis is chosen"),
        ([99, "1"], "there is no axis 99"),
        (["Steps", "few"], "neither a number nor a range"),
        (["Prompt S/R", "plum, fig"], "is in neither prompt"),
        (["Styles", "a"], "there is no axis 'Styles' here; there are seed, steps"),
    ],
)
async def test_what_is_wrong_with_the_arguments_is_said(client: Client, arguments: list[Any], problem: str) -> None:
    status = 400 if "Styles" in problem else 422
    _, told = await made(client, {"script_name": "x/y/z plot", "script_args": arguments}, status)
    assert problem in told["message"]


async def test_scripts_are_listed(client: Client) -> None:
    scripts = await (await client.get("/sdapi/v1/scripts")).json()
    assert {"x/y/z plot", "prompts from file or textbox"} <= set(scripts["txt2img"])
