"""The embedded demo model draws what the prompt names: pictures made by the real library are looked at, not only made.

The reference pictures are 32×32 renderings of the Noto emoji. The files change when a model is trained, and hardly ever otherwise:
most is among the slow tests, nightly more is looked at with more objects and the model's own defaults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[3]
ASSETS = ROOT / "sdrest" / "assets"
MODEL = ASSETS / "demo.gguf"
LORA = ASSETS / "demo-lora.safetensors"
FOLDER = Path(__file__).parent / "demo_reference"
DEFAULTS: dict[str, Any] = json.loads((ASSETS / "demo.json").read_text())["defaults"]
FAST = {"steps": 3, "cfg_scale": 2.0}
"""What the pictures are drawn with: fewer steps than the defaults, which take longer and look better."""
TILE = 32
COLORS = {"white": (255, 255, 255), "black": (16, 16, 20), "red": (214, 40, 40), "yellow": (250, 214, 60),
          "green": (56, 160, 76), "blue": (44, 92, 206), "purple": (128, 60, 168), "cyan": (96, 206, 226)}  # fmt: skip
NAMES: list[str] = json.loads((FOLDER / "objects.json").read_text())
ALL = [(name, list(COLORS)[number % len(COLORS)]) for number, name in enumerate(NAMES)]
#: Each part is drawn by one process.
TESTED = (ALL[:3], pytest.param(ALL[3:8], marks=pytest.mark.slow))
NIGHTLY = ALL[8:94]

Pixels = NDArray[np.uint8]
Float = NDArray[np.float32]


def caption(name: str, ground: str) -> str:
    """The prompt of an object on a plain ground."""
    article = "an" if name[0] in "aeiou" else "a"
    return f"{article} {name} on a {ground} background"


def small(picture: Pixels) -> Float:
    """The picture's means over a 32×32 grid, 0–1."""
    return np.asarray(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.BOX), np.float32) / np.float32(255)


def difference(one: Pixels, other: Pixels) -> float:
    """Mean absolute difference in grey levels of 255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def saturation(picture: Pixels) -> float:
    """Mean distance between the largest and the smallest channel, in grey levels of 255."""
    return float((picture.max(2).astype(np.int16) - picture.min(2)).mean())


def ground_of(picture: Pixels) -> str:
    """The colour whose value is nearest to the corners."""
    corners = np.concatenate(
        [picture[y, x] for y in (slice(0, 6), slice(-6, None)) for x in (slice(0, 6), slice(-6, None))]
    )
    found = np.median(corners.reshape(-1, 3), 0)
    return min(COLORS, key=lambda name: float(np.square(found - np.array(COLORS[name])).sum()))


PROMPT = caption(*ALL[0])
COLORFUL = next((name, ground) for name, ground in ALL if ground == "blue")


class References:
    """The reference pictures of all objects, put on a ground."""

    def __init__(self) -> None:
        sheet = np.asarray(Image.open(FOLDER / "objects.png").convert("RGBA"), np.float32) / 255
        across = sheet.shape[1] // TILE
        places = [divmod(number, across) for number in range(len(NAMES))]
        self.tiles = np.stack([sheet[r * TILE : (r + 1) * TILE, c * TILE : (c + 1) * TILE] for r, c in places])

    def nearest(self, picture: Pixels, ground: str) -> list[str]:
        """Names from the most to the least similar."""
        alpha = self.tiles[..., 3:]
        scenes = self.tiles[..., :3] * alpha + np.array(COLORS[ground], np.float32) / 255 * (1 - alpha)
        distance = np.square(scenes - small(picture)).sum((1, 2, 3))
        return [NAMES[number] for number in np.argsort(distance)]


class Drawing:
    """Requests, and the pictures that came of them once ``draw`` was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[dict[str, Any]] = []
        self.numbers: dict[str, int] = {}

    def ask(self, name: str, **fields: Any) -> None:
        """Add a request; ``name`` is what its picture is called."""
        self.numbers[name] = len(self.requests)
        self.requests.append({**FAST, "seed": 5, **fields})

    def draw(self) -> None:
        """Draw everything that was asked for, in a process of its own."""
        requests = self.folder / "requests.json"
        requests.write_text(json.dumps(self.requests))
        command = [sys.executable, "library.py", str(MODEL), str(requests), str(self.folder), "--threads", "1"]
        folder = ROOT / "tools" / "demo_model"
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    def __getitem__(self, name: str) -> Pixels:
        return np.asarray(Image.open(self.folder / f"{self.numbers[name]:03}.png").convert("RGB"))


@pytest.fixture
def drawing(tmp_path: Path) -> Drawing:
    return Drawing(tmp_path)


@pytest.mark.parametrize("things", TESTED)
def test_pictures_resemble_what_the_prompts_name_on_the_ground_asked_for(
    drawing: Drawing, things: list[tuple[str, str]]
) -> None:
    references = References()
    for seed, (name, ground) in enumerate(things):
        drawing.ask(name, prompt=caption(name, ground), seed=seed)
    drawing.draw()
    ranks = {name: references.nearest(drawing[name], ground).index(name) for name, ground in things}
    missed = {name: rank for name, rank in ranks.items() if rank > 0}
    assert len(missed) <= 1, f"not nearest to their reference among {len(NAMES)} (rank): {missed}"
    assert {name: ground_of(drawing[name]) for name, _ in things} == dict(things)


@pytest.mark.slow
def test_plurals_synonyms_and_capitals_draw_what_the_word_does(drawing: Drawing) -> None:
    """Prompts of as many tokens, so that the pictures are the same."""
    ground = "on a white background"
    words = {"usual": "a hamburger", "synonym": "a burger", "other": "a cat", "plural": "a cats", "capital": "a Cat"}
    for name, noun in words.items():
        drawing.ask(name, prompt=f"{noun} {ground}", seed=3)
    drawing.draw()
    assert np.array_equal(drawing["capital"], drawing["other"])
    assert np.array_equal(drawing["synonym"], drawing["usual"])
    assert np.array_equal(drawing["plural"], drawing["other"])
    assert difference(drawing["other"], drawing["usual"]) > 10


@pytest.mark.slow
def test_one_seed_repeats_and_another_does_not(drawing: Drawing) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 77)):
        drawing.ask(name, prompt=PROMPT, seed=seed, steps=1)
    drawing.draw()
    assert np.array_equal(drawing["again"], drawing["one"])
    assert difference(drawing["other"], drawing["one"]) > 0.5


@pytest.mark.slow
def test_guidance_and_the_negative_prompt_strengthen_what_was_asked_for(drawing: Drawing) -> None:
    drawing.ask("no guidance", prompt=PROMPT, seed=0, cfg_scale=1.0)
    drawing.ask("guided", prompt=PROMPT, seed=0, cfg_scale=5.0)
    drawing.ask("negative", prompt=PROMPT, seed=0, cfg_scale=5.0, negative_prompt="a sunflower on a black background")
    drawing.draw()
    assert saturation(drawing["guided"]) > 1.1 * saturation(drawing["no guidance"])
    assert difference(drawing["negative"], drawing["guided"]) > 2


@pytest.mark.slow
def test_strength_and_mask_say_what_of_the_initial_picture_stays(drawing: Drawing) -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 64:] = 255
    Image.fromarray(mask).save(drawing.folder / "mask.png")
    drawing.ask("first", prompt=PROMPT, seed=0)
    drawing.ask("low", prompt=PROMPT, init_image="#0", strength=0.4)
    other: dict[str, Any] = {"prompt": caption("banana", "red"), "init_image": "#0", "strength": 0.95}
    drawing.ask("high", **other)
    drawing.ask("inpainted", **other, mask_image=str(drawing.folder / "mask.png"))
    drawing.draw()
    first, inpainted = drawing["first"], drawing["inpainted"]
    assert difference(drawing["low"], first) < 12
    assert difference(drawing["high"], first) > 30
    assert difference(inpainted[:, :56], first[:, :56]) < 8
    assert difference(inpainted[:, 72:], first[:, 72:]) > 30


@pytest.mark.slow
def test_lora_takes_the_colours_out(drawing: Drawing) -> None:
    for name, multiplier in (("plain", 0.0), ("half", 0.5), ("full", 1.0)):
        loras = {str(LORA): multiplier} if multiplier else {}
        drawing.ask(name, prompt=caption(*COLORFUL), seed=5, loras=loras)
    drawing.draw()
    plain, half, full = (saturation(drawing[name]) for name in ("plain", "half", "full"))
    assert plain > 60
    assert full < 0.3 * plain
    assert full < half < plain


@pytest.mark.nightly
def test_more_things_and_twice_the_size_with_the_defaults(drawing: Drawing) -> None:
    own = {name: DEFAULTS[name] for name in ("steps", "cfg_scale")}
    for seed, (name, ground) in enumerate(NIGHTLY):
        drawing.ask(name, prompt=caption(name, ground), seed=seed, **own)
    drawing.ask("large", prompt=PROMPT, width=256, height=256, **own)
    drawing.draw()
    references = References()
    missed = [name for name, ground in NIGHTLY if references.nearest(drawing[name], ground)[0] != name]
    assert len(missed) <= 5, missed
    assert drawing["large"].shape == (256, 256, 3)
    assert ground_of(drawing["large"]) == ALL[0][1]
    assert references.nearest(drawing["large"], ALL[0][1])[0] == ALL[0][0]


def test_the_file_is_small() -> None:
    assert MODEL.stat().st_size <= 25_000_000
