"""Pictures with captions: Noto emoji alone, in pairs and in groups, on plain grounds and before drawn scenes.

The emoji come from the npm package ``@iconify-json/noto`` (Apache-2.0); ``objects.txt`` names the ones used and gives
their captions. ``load_icons`` renders them once and keeps the result beside the checkpoints.
"""

from __future__ import annotations

import io
import json
import random
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from backdrops import BACKDROPS, NO_TIME, TIMES, backdrop
from PIL import Image, ImageDraw
from styles import STYLES, styled

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
    "navy": (24, 32, 92),
    "lime": (160, 226, 50),
    "magenta": (220, 40, 160),
    "beige": (232, 212, 176),
}
"""Named colours of grounds, shapes and things, RGB 0–255."""

SHAPES = ("circle", "square", "triangle", "ring", "cross", "rectangle", "hexagon", "oval")
SIZES = {"small": 0.6, "": 1.0, "big": 1.2}
"""Size word of a caption → factor of the thing's usual size."""
COUNTS = {2: "two", 3: "three", 4: "four"}
RELATIONS: dict[str, tuple[str, ...]] = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "on": ("on", "on top of"),
    "front": ("in front of",),
    "behind": ("behind",),
    "beside": ("next to", "beside", "and"),
}
"""How two things stand to each other → the words for it."""
_PLACES = {
    "left": ((0.27, 0.5, 0.46), (0.73, 0.5, 0.46)),
    "above": ((0.5, 0.26, 0.47), (0.5, 0.74, 0.47)),
    "on": ((0.5, 0.27, 0.42), (0.5, 0.68, 0.58)),
    "front": ((0.35, 0.66, 0.5), (0.6, 0.4, 0.66)),
}
"""Middle and side of the first and of the second thing, as fractions of the picture."""
_GROUPS = {
    2: ((0.27, 0.5), (0.73, 0.5)),
    3: ((0.5, 0.27), (0.27, 0.73), (0.73, 0.73)),
    4: ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),
}
IRREGULAR = {
    "mouse": "mice", "sheep": "sheep", "fish": "fish", "deer": "deer", "wolf": "wolves", "goose": "geese", "ox": "oxen",
    "knife": "knives", "leaf": "leaves", "loaf": "loaves", "elf": "elves", "tooth": "teeth", "foot": "feet",
    "police officer": "police officers", "old man": "old men", "shelf": "shelves", "scarf": "scarves",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thing:
    """An object or a shape; ``color`` is a colour it has not by nature, ``size`` a word of ``SIZES``."""

    name: str
    color: str = ""
    size: str = ""

    def words(self) -> str:
        """The noun with its adjectives."""
        return " ".join(word for word in (self.size, self.color, self.name) if word)


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture to draw: one thing, ``count`` of it, or two in ``relation``; on a plain ground or before a backdrop."""

    thing: Thing
    second: Thing | None = None
    relation: str = ""
    count: int = 1
    ground: str = "white"
    place: str = ""
    time: str = ""
    style: str = ""

    def caption(self, rng: random.Random | None = None) -> str:
        """The plain caption, or with ``rng`` one of its variants. A white ground may go unmentioned."""
        pick = (lambda choices: choices[0]) if rng is None else rng.choice
        if self.count > 1:
            text = f"{COUNTS[self.count]} {replace(self.thing, name=plural(self.thing.name)).words()}"
        else:
            text = _with_article(self.thing.words(), rng)
        if self.second is not None:
            text += f" {pick(RELATIONS[self.relation])} {_with_article(self.second.words(), rng)}"
        if self.place:
            text += f" {pick(BACKDROPS[self.place])}"
        elif self.ground != "white" or rng is None or rng.random() < 0.4:
            plain = f" on a {self.ground} background"
            text += pick((plain, plain, f", {self.ground} background", f" on {self.ground}"))
        if self.time:
            text += f" {pick(TIMES[self.time])}"
        if self.style:
            text = pick(STYLES[self.style]).format(text)
        return text

    def key(self) -> str:
        """What the picture combines, without ground and style; empty for a thing by itself."""
        if self.second is not None:
            return f"{self.thing.name}|{self.relation}|{self.second.name}"
        if self.count > 1:
            return f"{self.count}|{self.thing.name}"
        if self.thing.color:
            return f"{self.thing.color}|{self.thing.name}"
        return f"{self.thing.name}|{self.place}" if self.place else ""

    def held_out(self) -> bool:
        """Whether this combination is kept out of the training (one in sixteen)."""
        return bool(self.key()) and zlib.crc32(self.key().encode()) % 16 == 0


def _with_article(noun: str, rng: random.Random | None) -> str:
    if rng is not None and rng.random() < 0.3:
        return noun
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def plural(name: str) -> str:
    """The plural of a thing's name."""
    if name in IRREGULAR:
        return IRREGULAR[name]
    head, space, last = name.rpartition(" ")
    if last in IRREGULAR:
        return head + space + IRREGULAR[last]
    if name.endswith("s") and not name.endswith(("ss", "us")):
        return name
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def objects() -> dict[str, str]:
    """Caption → icon name, in the order of ``objects.txt``."""
    found: dict[str, str] = {}
    for written in (HERE / "objects.txt").read_text().splitlines():
        line = written.split("#")[0].strip()
        if line:
            icon, _, caption = (part.strip() for part in line.partition("="))
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

    source = next((run / "npm").glob("*noto*/**/icons.json"))
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


def coloured(icon: np.ndarray, color: str) -> np.ndarray:
    """``icon`` in shades of one colour: its mean lightness becomes the colour, lighter parts go to white."""
    luma = icon[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    shown = icon[..., 3] > 128
    level = luma / max(40.0, float(luma[shown].mean())) if shown.any() else luma / 128
    tone = np.array(COLORS[color], np.float32)
    if color in ("white", "black"):
        low, high = (170, 255) if color == "white" else (10, 90)
        out = np.repeat((low + (high - low) * luma / 255)[..., None], 3, 2)
    else:
        dark = tone * np.clip(0.35 + 0.65 * level, 0, 1)[..., None]
        light = np.clip((level - 1) * 0.8, 0, 0.6)[..., None]
        out = dark + (255 - dark) * light
    return np.concatenate((out.clip(0, 255).astype(np.uint8), icon[..., 3:]), 2)


def render(
    icon: np.ndarray, background: tuple[int, int, int], size: int, scale: float, dx: float = 0, dy: float = 0
) -> np.ndarray:
    """``icon`` on a plain ground: ``uint8`` [size, size, 3]; ``scale`` and the offsets are fractions of ``size``."""
    canvas = Image.new("RGB", (size, size), background)
    _put(canvas, icon, 0.5 + dx, 0.5 + dy, scale)
    return np.asarray(canvas)


def _put(canvas: Image.Image, icon: np.ndarray, x: float, y: float, scale: float) -> None:
    size = canvas.width
    side = max(8, round(size * scale))
    small = Image.fromarray(icon).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    canvas.paste(small, (round(x * size - side / 2), round(y * size - side / 2)), small)


def layout(scene: Scene) -> list[tuple[Thing, float, float, float]]:
    """Every thing with its middle and side as fractions of the picture, from the back to the front."""
    grounded = bool(scene.place) and scene.place not in NO_TIME
    if scene.count > 1:
        shift = 0.08 if grounded and scene.count == 2 else 0.0
        side = 0.42 * SIZES[scene.thing.size]
        return [(scene.thing, x, y + shift, side) for x, y in _GROUPS[scene.count]]
    if scene.second is None:
        x, y, side = (0.5, 0.58 if grounded else 0.5, 0.62) if scene.place else (0.5, 0.5, 0.84)
        return [(scene.thing, x, y, side * SIZES[scene.thing.size])]
    first, second = scene.thing, scene.second
    relation = {"right": "left", "below": "above", "behind": "front", "beside": "left"}.get(
        scene.relation, scene.relation
    )
    if scene.relation in ("right", "below", "behind"):
        first, second = second, first
    shift = 0.08 if grounded and relation == "left" else 0.0
    found = [
        (thing, x, y + shift, side * SIZES[thing.size])
        for thing, (x, y, side) in zip((first, second), _PLACES[relation], strict=True)
    ]
    return found[::-1]


def icon_of(thing: Thing, icons: dict[str, np.ndarray]) -> np.ndarray:
    """The thing's picture in its colour, RGBA."""
    if thing.name in SHAPES:
        return shape_icon(thing.name, thing.color or "red")
    return coloured(icons[thing.name], thing.color) if thing.color else icons[thing.name]


def scene_picture(scene: Scene, icons: dict[str, np.ndarray], size: int = 128, seed: int = 0) -> np.ndarray:
    """The reference picture of a scene, ``uint8`` [size, size, 3]; ``seed`` decides the backdrop's accidents."""
    if scene.place:
        canvas = Image.fromarray(backdrop(scene.place, scene.time, size, random.Random(seed)))
    else:
        canvas = Image.new("RGB", (size, size), COLORS[scene.ground])
    for thing, x, y, side in layout(scene):
        _put(canvas, icon_of(thing, icons), x, y, side)
    return styled(np.asarray(canvas), scene.style)


def random_kind(rng: random.Random) -> str:
    """A kind of scene by its share."""
    return rng.choices(list(KINDS), list(KINDS.values()))[0]


def random_scene(rng: random.Random, names: list[str], kind: str = "") -> Scene:
    """A scene as the training draws them, held out or not. ``kind`` is one of ``KINDS``, else a random one."""
    kind = kind or random_kind(rng)
    ground = rng.choice(list(COLORS)) if rng.random() < 0.6 else "white"
    style = rng.choice(list(STYLES)) if rng.random() < 0.1 else ""

    def thing(color_share: float) -> Thing:
        size = rng.choice(("small", "big")) if rng.random() < 0.08 else ""
        return Thing(rng.choice(names), rng.choice(list(COLORS)) if rng.random() < color_share else "", size)

    if kind == "plain":
        scene = Scene(thing(0), ground=ground)
    elif kind == "coloured":
        scene = Scene(thing(1), ground=ground)
    elif kind == "shape":
        scene = Scene(Thing(rng.choice(SHAPES), rng.choice(list(COLORS))), ground=ground)
    elif kind == "count":
        scene = Scene(replace(thing(0.2), size=""), count=rng.choice((2, 3, 4)), ground=ground)
    elif kind == "pair":
        scene = Scene(thing(0.15), thing(0.15), rng.choice(list(RELATIONS)), ground=ground)
    elif kind == "place":
        scene = Scene(thing(0.15))
    else:
        raise ValueError(f"unknown kind {kind!r}: one of {', '.join(KINDS)}")
    if kind == "place" or (kind in ("pair", "count") and rng.random() < 0.2):
        place = rng.choice(list(BACKDROPS))
        time = rng.choice(list(TIMES)) if place not in NO_TIME and rng.random() < 0.35 else ""
        scene = replace(scene, place=place, time=time)
    else:
        # a thing in the colour of its ground cannot be seen
        shown = {scene.thing.color, scene.second.color if scene.second else ""}
        while scene.ground in shown:
            scene = replace(scene, ground=rng.choice(list(COLORS)))
    return replace(scene, style=style)


KINDS = {"plain": 0.24, "coloured": 0.14, "shape": 0.03, "count": 0.12, "pair": 0.27, "place": 0.2}
"""Kind of scene → its share of the training."""
