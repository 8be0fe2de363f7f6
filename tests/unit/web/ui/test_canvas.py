"""The canvas' modules where they need no browser: their own tests, run by node, and what must agree with the server."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

from PIL import Image

from sdrest.work.inpainting import region
from tests.needs import needs

pytestmark = needs("node")

_HERE = Path(__file__).parent / "javascript"
_REGION = Path(__file__).parents[4] / "static" / "canvas-region.mjs"


def _node(*arguments: str, sent: str = "") -> str:
    done = subprocess.run(["node", *arguments], input=sent, capture_output=True, text=True, check=False, timeout=25)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_the_canvas_reckons() -> None:
    assert "# fail 0" in _node("--test", "--test-reporter=tap", str(_HERE / "canvas.test.mjs"))


def test_the_part_that_will_be_painted_is_the_one_that_the_server_paints() -> None:
    chance = random.Random(5)
    cases, wanted = [], []
    for _ in range(300):
        width, height = chance.randrange(1, 400), chance.randrange(1, 400)
        x, y = chance.randrange(width), chance.randrange(height)
        box = (x, y, chance.randint(x + 1, width), chance.randint(y + 1, height))
        padding, size = chance.randrange(80), (16 * chance.randint(1, 40), 16 * chance.randint(1, 40))
        mask = Image.new("L", (width, height))
        mask.paste(255, box)
        wanted.append(list(region(mask, padding, size)))
        masked = {"x": x, "y": y, "width": box[2] - x, "height": box[3] - y}
        asked = {"width": size[0], "height": size[1]}
        cases.append([masked, padding, asked, {"width": width, "height": height}])
    script = f"""import {{ region }} from {json.dumps(_REGION.as_uri())};
        const text = await new Response(process.stdin).text();
        console.log(JSON.stringify(JSON.parse(text).map((one) => region(...one))));"""
    told = json.loads(_node("--input-type=module", "-e", script, sent=json.dumps(cases)))
    assert [[box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]] for box in told] == wanted
