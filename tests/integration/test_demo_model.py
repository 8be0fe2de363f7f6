"""The embedded demo model draws what the prompt names: pictures made by the real library are looked at, not only made.

All pictures are drawn by one process at the start; the reference pictures are 32×32 renderings of the Noto emoji."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
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
FAST = {"steps": 6, "cfg_scale": 3.0}
"""What the pictures are drawn with: fewer steps than the defaults, which take longer and look better."""
TILE = 32
COLORS = {"white": (255, 255, 255), "black": (16, 16, 20), "red": (214, 40, 40), "yellow": (250, 214, 60),
          "green": (56, 160, 76), "blue": (44, 92, 206), "purple": (128, 60, 168), "cyan": (96, 206, 226)}  # fmt: skip
NAMES: list[str] = json.loads((FOLDER / "objects.json").read_text())
TESTED = [(name, list(COLORS)[number % len(COLORS)]) for number, name in enumerate(NAMES[:32])]

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


@dataclass
class Drawn:
    """The requests and the pictures that came of them."""

    folder: Path
    numbers: dict[str, int]

    def __getitem__(self, name: str) -> Pixels:
        return np.asarray(Image.open(self.folder / f"{self.numbers[name]:03}.png").convert("RGB"))

    @cached_property
    def seconds(self) -> list[float]:
        """Wall-clock time of each request."""
        found: list[float] = json.loads((self.folder / "seconds.json").read_text())
        return found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Draw everything that the tests look at, in a process of its own."""
    folder = tmp_path_factory.mktemp("demo")
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 64:] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    requests: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}

    def ask(name: str, **fields: Any) -> None:
        numbers[name] = len(requests)
        requests.append({**FAST, "seed": 5, **fields})

    for seed, (name, ground) in enumerate(TESTED):
        ask(name, prompt=caption(name, ground), seed=seed)
    first = f"#{numbers[TESTED[0][0]]}"
    prompt = caption(*TESTED[0])
    ask("again", prompt=prompt, seed=0)
    ask("other seed", prompt=prompt, seed=77)
    ask("no guidance", prompt=prompt, seed=0, cfg_scale=1.0)
    ask("negative", prompt=prompt, seed=0, negative_prompt=f"{TESTED[0][1]} background")
    ask("low strength", prompt=prompt, init_image=first, strength=0.3)
    ask("high strength", prompt=caption("banana", "red"), init_image=first, strength=0.95)
    ask(
        "inpainted",
        prompt=caption("banana", "red"),
        init_image=first,
        mask_image=str(folder / "mask.png"),
        strength=0.95,
    )
    ask("lora", prompt=caption(*TESTED[4]), seed=4, loras={str(LORA): 1.0})
    ask("large", prompt=caption(*TESTED[0]), width=256, height=256)
    (folder / "requests.json").write_text(json.dumps(requests))
    command = [sys.executable, "library.py", str(MODEL), str(folder / "requests.json"), str(folder)]
    done = subprocess.run(
        command, cwd=ROOT / "tools" / "demo_model", capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Drawn(folder, numbers)


def test_pictures_resemble_what_the_prompts_name(drawn: Drawn) -> None:
    references = References()
    ranks = {name: references.nearest(drawn[name], ground).index(name) for name, ground in TESTED}
    missed = {name: rank for name, rank in ranks.items() if rank > 0}
    assert len(missed) <= 6, f"not nearest to their reference among {len(NAMES)} (rank): {missed}"


def test_backgrounds_have_the_colour_asked_for(drawn: Drawn) -> None:
    wrong = {name: ground_of(drawn[name]) for name, ground in TESTED if ground_of(drawn[name]) != ground}
    assert len(wrong) <= 2, wrong


def test_one_seed_repeats_and_another_does_not(drawn: Drawn) -> None:
    first = drawn[TESTED[0][0]]
    assert np.array_equal(drawn["again"], first)
    assert difference(drawn["other seed"], first) > 0.5


def test_guidance_and_negative_prompt_are_visible(drawn: Drawn) -> None:
    assert difference(drawn["no guidance"], drawn[TESTED[0][0]]) > 1
    assert difference(drawn["negative"], drawn[TESTED[0][0]]) > 1


def test_low_strength_keeps_the_initial_picture(drawn: Drawn) -> None:
    first = drawn[TESTED[0][0]]
    assert difference(drawn["low strength"], first) < 12
    assert difference(drawn["high strength"], first) > 30


def test_inpainting_changes_only_the_masked_part(drawn: Drawn) -> None:
    first = drawn[TESTED[0][0]]
    kept = difference(drawn["inpainted"][:, :56], first[:, :56])
    changed = difference(drawn["inpainted"][:, 72:], first[:, 72:])
    assert kept < 8
    assert changed > 30


def test_lora_changes_the_picture(drawn: Drawn) -> None:
    assert difference(drawn["lora"], drawn[TESTED[4][0]]) > 2


def test_twice_the_size_works(drawn: Drawn) -> None:
    large = drawn["large"]
    assert large.shape == (256, 256, 3)
    assert ground_of(large) == TESTED[0][1]


def test_the_file_is_small() -> None:
    assert MODEL.stat().st_size <= 25_000_000
