"""Pictures with captions: Noto emoji on plain backgrounds, and procedural shapes.

The emoji come from the npm package ``@iconify-json/noto`` (Apache-2.0); ``objects.txt`` names the ones used and gives
their captions. ``load_icons`` renders them once and keeps the result beside the checkpoints.
"""

from __future__ import annotations

import io
import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
ICON_SIZE = 256
"""Side in pixels of the cached renderings; pictures are scaled down from it."""

COLORS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (16, 16, 20),
    "red": (214, 40, 40),
    "orange": (247, 140, 30),
    "yellow": (250, 214, 60),
    "green": (56, 160, 76),
    "blue": (44, 92, 206),
    "purple": (128, 60, 168),
    "pink": (246, 160, 190),
    "gray": (140, 144, 150),
    "brown": (122, 78, 46),
    "cyan": (96, 206, 226),
}
"""Named colours of backgrounds and shapes, RGB 0–255."""

SHAPES = ("circle", "square", "triangle", "ring", "cross", "rectangle", "hexagon", "oval")
SCALES = {"small": 0.5, "": 0.84, "big": 1.0}
"""Size word of a caption → side of the object as a fraction of the picture."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture to draw: what, which size, on which background. ``color`` is set for procedural shapes only."""

    subject: str
    background: str = "white"
    size: str = ""
    color: str = ""

    def caption(self, rng: random.Random | None = None) -> str:
        """The plain caption, or with ``rng`` one of its variants. A white background may go unmentioned."""
        noun = " ".join(word for word in (self.size, self.color, self.subject) if word)
        article = "an " if noun[0] in "aeiou" else "a "
        if rng is None:
            return f"{article}{noun} on a {self.background} background"
        head = rng.choice((article, "", article))
        if self.background == "white" and rng.random() < 0.6:
            return f"{head}{noun}"
        tail = rng.choice(
            (
                f" on a {self.background} background",
                f" on a {self.background} background",
                f", {self.background} background",
                f" on {self.background}",
            )
        )
        return f"{head}{noun}{tail}"


def objects(trained: bool = False) -> dict[str, str]:
    """Caption → icon name, in the order of ``objects.txt``: all, or only the trained ones."""
    found: dict[str, str] = {}
    for written in (HERE / "objects.txt").read_text().splitlines():
        line = written.split("#")[0].strip()
        if line and not (trained and line.startswith("~")):
            icon, _, caption = (part.strip() for part in line.lstrip("~").partition("="))
            found[caption or icon.replace("-", " ")] = icon
    return found


def load_icons(run: Path) -> dict[str, np.ndarray]:
    """Caption → RGBA picture, ``uint8`` [256, 256, 4]; rendered from ``run/npm`` on the first call."""
    cache = run / "icons.npz"
    names = objects()
    if cache.exists():
        stored = np.load(cache)
        if list(stored["names"]) == list(names):
            return dict(zip(names, stored["pictures"], strict=True))
    import resvg_py  # noqa: PLC0415  (only the first rendering needs it)

    source = next((run / "npm").glob("**/icons.json"))
    icons = json.loads(source.read_text())["icons"]
    pictures = []
    for icon in names.values():
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 128 128" width="{ICON_SIZE}" height="{ICON_SIZE}">{icons[icon]["body"]}</svg>'
        )
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg))
        pictures.append(np.asarray(Image.open(io.BytesIO(png)).convert("RGBA").resize((ICON_SIZE, ICON_SIZE))))
    np.savez(cache, names=np.array(list(names)), pictures=np.stack(pictures))
    return dict(zip(names, pictures, strict=True))


def shape_icon(shape: str, color: str) -> np.ndarray:
    """A procedural shape as RGBA ``uint8`` [256, 256, 4], drawn at four times the size and scaled down."""
    side = ICON_SIZE * 4
    image = Image.new("RGBA", (side, side), (*COLORS[color], 0))
    draw = ImageDraw.Draw(image)
    fill = (*COLORS[color], 255)
    lo, hi, mid = int(side * 0.06), int(side * 0.94), side // 2
    if shape == "circle":
        draw.ellipse((lo, lo, hi, hi), fill=fill)
    elif shape == "oval":
        draw.ellipse((lo, int(side * 0.24), hi, int(side * 0.76)), fill=fill)
    elif shape == "square":
        draw.rectangle((lo, lo, hi, hi), fill=fill)
    elif shape == "rectangle":
        draw.rectangle((lo, int(side * 0.26), hi, int(side * 0.74)), fill=fill)
    elif shape == "triangle":
        draw.polygon(((mid, lo), (hi, hi), (lo, hi)), fill=fill)
    elif shape == "ring":
        draw.ellipse((lo, lo, hi, hi), fill=fill)
        draw.ellipse((int(side * 0.28),) * 2 + (int(side * 0.72),) * 2, fill=(0, 0, 0, 0))
    elif shape == "cross":
        draw.rectangle((int(side * 0.36), lo, int(side * 0.64), hi), fill=fill)
        draw.rectangle((lo, int(side * 0.36), hi, int(side * 0.64)), fill=fill)
    elif shape == "hexagon":
        draw.regular_polygon((mid, mid, side * 0.46), 6, fill=fill)
    else:
        raise ValueError(f"unknown shape {shape!r}: one of {', '.join(SHAPES)}")
    return np.asarray(image.resize((ICON_SIZE, ICON_SIZE), Image.Resampling.BOX))


def render(
    icon: np.ndarray, background: tuple[int, int, int], size: int, scale: float, dx: float = 0, dy: float = 0
) -> np.ndarray:
    """``icon`` on a plain ground: ``uint8`` [size, size, 3]; ``scale`` and the offsets are fractions of ``size``."""
    side = max(8, round(size * scale))
    small = Image.fromarray(icon).resize((side, side), Image.Resampling.LANCZOS if side < ICON_SIZE else None)
    canvas = Image.new("RGBA", (size, size), (*background, 255))
    at = (round((size - side) / 2 + dx * size), round((size - side) / 2 + dy * size))
    layer = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    layer.paste(small, at)
    return np.asarray(Image.alpha_composite(canvas, layer).convert("RGB"))


def scene_picture(scene: Scene, icons: dict[str, np.ndarray], size: int = 128) -> np.ndarray:
    """The reference picture of a scene, ``uint8`` [size, size, 3]."""
    icon = shape_icon(scene.subject, scene.color) if scene.color else icons[scene.subject]
    return render(icon, COLORS[scene.background], size, SCALES[scene.size])


def all_scenes() -> list[Scene]:
    """Every scene of the training set: each object on each background and in each size, and the shapes."""
    names = list(objects())
    scenes = [Scene(name, ground) for name in names for ground in COLORS]
    rng = random.Random(5)
    for name in names:
        for size in ("small", "big"):
            scenes += [Scene(name, ground, size) for ground in rng.sample(list(COLORS), 3)]
    for shape in SHAPES:
        for color in COLORS:
            for ground in COLORS:
                if ground != color:
                    scenes.append(Scene(shape, ground, "", color))
    return scenes
