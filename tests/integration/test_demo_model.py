"""The embedded demo model draws what the prompt names: pictures made by the real library are looked at, not only made.

All pictures are drawn by one process at the start; the reference pictures are 32×32 renderings of the Noto emoji.
Nightly, more objects are drawn, and with the model's own defaults."""

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

ROOT = Path(__file__).parents[2]
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
TESTED = ALL[:30]
NIGHTLY = ALL[30:94]

COLORFUL = next((name, ground) for name, ground in TESTED if ground == "blue")

pytestmark = pytest.mark.timeout(600)

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
        command = [sys.executable, "library.py", str(MODEL), str(requests), str(self.folder)]
        done = subprocess.run(
            command, cwd=ROOT / "tools" / "demo_model", capture_output=True, text=True, timeout=580, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]

    def __getitem__(self, name: str) -> Pixels:
        return np.asarray(Image.open(self.folder / f"{self.numbers[name]:03}.png").convert("RGB"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawing:
    """Everything that the tests of each run look at."""
    drawing = Drawing(tmp_path_factory.mktemp("demo"))
    ask, folder = drawing.ask, drawing.folder
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 64:] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    for seed, (name, ground) in enumerate(TESTED):
        ask(name, prompt=caption(name, ground), seed=seed)
    first = f"#{drawing.numbers[TESTED[0][0]]}"
    prompt = caption(*TESTED[0])
    ask("again", prompt=prompt, seed=0)
    ask("other seed", prompt=prompt, seed=77)
    ask("no guidance", prompt=prompt, seed=0, cfg_scale=1.0)
    ask("guided", prompt=prompt, seed=0, cfg_scale=5.0)
    ask("negative", prompt=prompt, seed=0, cfg_scale=5.0, negative_prompt="a sunflower on a black background")
    ask("low strength", prompt=prompt, init_image=first, strength=0.4)
    ask("high strength", prompt=caption("banana", "red"), init_image=first, strength=0.95)
    ask(
        "inpainted",
        prompt=caption("banana", "red"),
        init_image=first,
        mask_image=str(folder / "mask.png"),
        strength=0.95,
    )
    number = TESTED.index(COLORFUL)
    for given, multiplier in (("lora", 1.0), ("half lora", 0.5)):
        ask(given, prompt=caption(*COLORFUL), seed=number, loras={str(LORA): multiplier})
    drawing.draw()
    return drawing


def test_pictures_resemble_what_the_prompts_name(drawn: Drawing) -> None:
    references = References()
    ranks = {name: references.nearest(drawn[name], ground).index(name) for name, ground in TESTED}
    missed = {name: rank for name, rank in ranks.items() if rank > 0}
    assert len(missed) <= 6, f"not nearest to their reference among {len(NAMES)} (rank): {missed}"


def test_backgrounds_have_the_colour_asked_for(drawn: Drawing) -> None:
    wrong = {name: ground_of(drawn[name]) for name, ground in TESTED if ground_of(drawn[name]) != ground}
    assert len(wrong) <= 2, wrong


def test_one_seed_repeats_and_another_does_not(drawn: Drawing) -> None:
    first = drawn[TESTED[0][0]]
    assert np.array_equal(drawn["again"], first)
    assert difference(drawn["other seed"], first) > 0.5


def test_guidance_strengthens_what_was_asked_for(drawn: Drawing) -> None:
    assert saturation(drawn["guided"]) > 1.1 * saturation(drawn["no guidance"])


def test_negative_prompt_is_visible(drawn: Drawing) -> None:
    assert difference(drawn["negative"], drawn["guided"]) > 2


def test_low_strength_keeps_the_initial_picture(drawn: Drawing) -> None:
    first = drawn[TESTED[0][0]]
    assert difference(drawn["low strength"], first) < 12
    assert difference(drawn["high strength"], first) > 30


def test_inpainting_changes_only_the_masked_part(drawn: Drawing) -> None:
    first = drawn[TESTED[0][0]]
    kept = difference(drawn["inpainted"][:, :56], first[:, :56])
    changed = difference(drawn["inpainted"][:, 72:], first[:, 72:])
    assert kept < 8
    assert changed > 30


def test_lora_takes_the_colours_out(drawn: Drawing) -> None:
    name, _ = COLORFUL
    assert saturation(drawn[name]) > 60
    assert saturation(drawn["lora"]) < 0.3 * saturation(drawn[name])
    assert saturation(drawn["lora"]) < saturation(drawn["half lora"]) < saturation(drawn[name])


@pytest.mark.nightly
def test_more_things_and_twice_the_size_with_the_defaults(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path)
    own = {name: DEFAULTS[name] for name in ("steps", "cfg_scale")}
    for seed, (name, ground) in enumerate(NIGHTLY):
        drawing.ask(name, prompt=caption(name, ground), seed=seed, **own)
    drawing.ask("large", prompt=caption(*TESTED[0]), width=256, height=256, **own)
    drawing.draw()
    references = References()
    missed = [name for name, ground in NIGHTLY if references.nearest(drawing[name], ground)[0] != name]
    assert len(missed) <= 4, missed
    assert drawing["large"].shape == (256, 256, 3)
    assert ground_of(drawing["large"]) == TESTED[0][1]
    assert references.nearest(drawing["large"], TESTED[0][1])[0] == TESTED[0][0]


def test_the_file_is_small() -> None:
    assert MODEL.stat().st_size <= 25_000_000
