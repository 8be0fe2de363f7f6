"""What is written in picture files, asked for over the native API, A1111's, the page and the command line."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

from sdrest.cli.sdrest import main

VALUES = {
    "positive_prompt": "a <b>fox</b>", "negative_prompt": "dog", "seed": 42, "steps": 20, "cfg_scale": 6.5, "width": 64,
    "height": 48, "scheduler": "euler", "model": {"name": "fox"}, "loras": [{"model": {"name": "ink"}, "weight": 0.8}],
}  # fmt: skip
INFOTEXT = (
    "a <b>fox</b>\nNegative prompt: dog\n"
    'Steps: 20, Sampler: euler, CFG scale: 6.5, Seed: 42, Size: 64x48, Model: fox, Lora: "ink: 0.8"'
)


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """Nothing is written there."""
    return shared_models


@pytest.fixture
def picture() -> bytes:
    """A picture of InvokeAI."""
    info, stream = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_itxt("invokeai_metadata", json.dumps(VALUES))
    Image.new("RGB", (64, 48)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


async def test_another_programs_picture_is_read_over_every_way_in(client: TestClient[Any, Any], picture: bytes) -> None:
    sent = {"image": base64.b64encode(picture).decode()}
    native = await (await client.post("/api/image/info", json=sent)).json()
    assert (native["program"], native["infotext"], native["loras"]) == ("InvokeAI", INFOTEXT, [["ink", "0.8"]])
    assert native["parameters"]["negative_prompt"] == "dog"
    assert (native["parameters"]["sampler"], native["parameters"]["height"]) == ("euler", "48")
    a1111 = await (await client.post("/sdapi/v1/png-info", json=sent)).json()
    assert (a1111["info"], a1111["items"]["parameters"], a1111["parameters"]["Seed"]) == (INFOTEXT, INFOTEXT, "42")

    form = FormData()
    form.add_field("picture", picture, filename="fox.png", content_type="image/png")
    text = await (await client.post("/ui/png-info", data=form)).text()
    assert "InvokeAI" in text
    assert "a &lt;b&gt;fox&lt;/b&gt;" in text
    link = text.partition('href="/ui/generate/txt2img?')[2].partition('"')[0]
    filled = await (await client.get(f"/ui/generate/txt2img?{link}".replace("&amp;", "&"))).text()
    assert "a &lt;b&gt;fox&lt;/b&gt;</textarea>" in filled
    assert 'value="42"' in filled


@pytest.mark.parametrize("data", [b"", b"no picture"])
async def test_what_is_no_picture_is_said_so(client: TestClient[Any, Any], data: bytes) -> None:
    form = FormData()
    form.add_field("picture", data, filename="fox.png", content_type="image/png")
    reply = await client.post("/ui/png-info", data=form)
    assert reply.status == 400
    assert 'role="alert"' in await reply.text()
    refused = await client.post("/api/image/info", json={"image": base64.b64encode(data or b"?").decode()})
    assert (refused.status, (await refused.json())["details"]["errors"][0]["field"]) == (400, "image")


def test_the_command_line_reads_files_and_says_by_its_status_when_one_holds_nothing(
    tmp_path: Path, picture: bytes
) -> None:
    (tmp_path / "fox.png").write_bytes(picture)
    (tmp_path / "text.png").write_bytes(b"no picture")
    told = CliRunner().invoke(main, ["info", str(tmp_path / "fox.png")])
    assert (told.exit_code, told.output) == (0, f"{INFOTEXT}\nWritten by: InvokeAI\n")
    told = CliRunner().invoke(main, ["info", "--json", str(tmp_path / "fox.png"), str(tmp_path / "text.png")])
    first, second = map(json.loads, told.output.splitlines())
    assert (told.exit_code, first["parts"]["Seed"], second["program"]) == (1, "42", "")
