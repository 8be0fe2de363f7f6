"""Scenes drawn behind things: a sky by its time of day, and a ground."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

BACKDROPS: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "on a hill", "in a field", "in the garden"),
    "sea": ("in the sea", "on the water", "in the ocean"),
    "snow": ("in the snow", "in winter"),
    "desert": ("in the desert",),
    "beach": ("on the beach",),
    "forest": ("in the forest", "in the woods"),
    "mountains": ("in the mountains",),
    "street": ("on the street", "in the city", "on the road"),
    "sky": ("in the sky", "in the clouds"),
    "room": ("in a room", "in the house", "on the floor"),
    "space": ("in space",),
    "rain": ("in the rain",),
}
"""Ground → the words for it."""
TIMES: dict[str, tuple[str, ...]] = {"night": ("at night",), "sunset": ("at sunset", "in the evening")}
NO_TIME = frozenset({"room", "space", "rain", "sky"})
"""Grounds that have no time of day."""
_SKIES = {
    "": ((110, 185, 240), (205, 232, 250)),
    "night": ((10, 14, 44), (38, 48, 96)),
    "sunset": ((120, 60, 120), (250, 165, 70)),
    "rain": ((90, 104, 124), (150, 160, 172)),
    "space": ((6, 6, 18), (20, 14, 44)),
    "sky": ((70, 150, 230), (150, 205, 245)),
}
_SCALE = 2
"""Drawn at so many times the size, and scaled down for smooth edges."""


def _sky(kind: str, side: int, rng: random.Random) -> Image.Image:
    top, bottom = (np.array(c, np.float32) for c in _SKIES[kind])
    share = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    rows = (top + (bottom - top) * share).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(rows, (side, side, 3)).copy())
    draw = ImageDraw.Draw(image)
    if kind in ("night", "space"):
        for _ in range(40 if kind == "space" else 22):
            x, y, r = rng.random() * side, rng.random() * side * (1 if kind == "space" else 0.6), side / 150
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(235, 235, 220))
    if kind == "night":
        _disc(draw, side, 0.83, 0.16, 0.08, (244, 240, 208))
    if kind == "sunset":
        _disc(draw, side, 0.5, 0.55, 0.16, (255, 214, 110))
    if kind in ("", "sky"):
        for _ in range(2 if not kind else 4):
            _cloud(draw, side, rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.35 if not kind else 0.95))
    return image


def _disc(draw: ImageDraw.ImageDraw, side: int, x: float, y: float, r: float, fill: tuple[int, int, int]) -> None:
    draw.ellipse(((x - r) * side, (y - r) * side, (x + r) * side, (y + r) * side), fill=fill)


def _cloud(draw: ImageDraw.ImageDraw, side: int, x: float, y: float) -> None:
    for dx, dy, r in ((-0.09, 0.01, 0.05), (0, -0.02, 0.07), (0.09, 0.01, 0.05)):
        _disc(draw, side, x + dx, y + dy, r, (246, 250, 253))


def _ground(place: str, draw: ImageDraw.ImageDraw, side: int, tint: float, rng: random.Random) -> None:
    def shade(*color: int) -> tuple[int, int, int]:
        red, green, blue = (int(c * tint) for c in color)
        return red, green, blue

    def rows(start: float, *color: int) -> None:
        draw.rectangle((0, start * side, side, side), fill=shade(*color))

    if place == "grass":
        draw.ellipse((-0.4 * side, 0.6 * side, 1.4 * side, 1.7 * side), fill=shade(104, 186, 74))
    elif place == "sea":
        rows(0.58, 36, 120, 190)
        for y in (0.66, 0.76, 0.88):
            shift = rng.random() * 0.2
            for x in np.arange(-0.1, 1.1, 0.25):
                box = ((x + shift) * side, y * side, (x + shift + 0.14) * side, (y + 0.02) * side)
                draw.rounded_rectangle(box, side * 0.01, fill=shade(110, 184, 230))
    elif place == "snow":
        draw.ellipse((-0.4 * side, 0.6 * side, 1.4 * side, 1.7 * side), fill=shade(242, 246, 252))
        for _ in range(24):
            _disc(draw, side, rng.random(), rng.random(), 0.012, (255, 255, 255))
    elif place == "desert":
        draw.ellipse((-0.7 * side, 0.55 * side, 0.8 * side, 1.6 * side), fill=shade(236, 196, 120))
        draw.ellipse((0.1 * side, 0.66 * side, 1.9 * side, 1.8 * side), fill=shade(222, 174, 96))
    elif place == "beach":
        rows(0.52, 40, 150, 205)
        rows(0.66, 244, 222, 164)
    elif place == "forest":
        for i in range(8):
            x = i / 7
            draw.polygon(((x * side, 0.16 * side), ((x - 0.12) * side, 0.72 * side), ((x + 0.12) * side, 0.72 * side)),
                         fill=shade(30, 96 + 18 * (i % 2), 56))  # fmt: skip
        rows(0.68, 72, 130, 62)
    elif place == "mountains":
        for x, top, color in ((0.2, 0.22, (126, 134, 150)), (0.8, 0.3, (106, 114, 132)), (0.5, 0.38, (140, 148, 162))):
            draw.polygon(((x * side, top * side), ((x - 0.4) * side, 0.75 * side), ((x + 0.4) * side, 0.75 * side)),
                         fill=shade(*color))  # fmt: skip
        rows(0.7, 120, 168, 90)
    elif place == "street":
        for i, top in enumerate((0.3, 0.18, 0.38, 0.24, 0.34)):
            draw.rectangle((i * 0.2 * side, top * side, (i + 1) * 0.2 * side, 0.7 * side),
                           fill=shade(150 + 14 * (i % 3), 140, 150 - 12 * (i % 2)))  # fmt: skip
            for y in np.arange(top + 0.05, 0.6, 0.11):
                for x in (0.04, 0.12):
                    lit = (255, 226, 120) if tint < 0.6 else (206, 226, 238)
                    draw.rectangle(
                        ((i * 0.2 + x) * side, y * side, (i * 0.2 + x + 0.045) * side, (y + 0.05) * side), fill=lit
                    )
        rows(0.68, 92, 94, 102)
        for x in (0.02, 0.36, 0.7):
            draw.rectangle((x * side, 0.87 * side, (x + 0.2) * side, 0.9 * side), fill=shade(240, 236, 220))
    elif place == "room":
        draw.rectangle((0, 0, side, side), fill=(238, 222, 190))
        rows(0.7, 160, 110, 68)
        draw.rectangle((0.08 * side, 0.1 * side, 0.36 * side, 0.4 * side), fill=(250, 250, 250))
        draw.rectangle((0.11 * side, 0.13 * side, 0.33 * side, 0.37 * side), fill=(150, 206, 240))
    elif place == "rain":
        rows(0.72, 92, 104, 112)
        for _ in range(40):
            x, y = rng.random() * side, rng.random() * side
            draw.line((x, y, x - side * 0.02, y + side * 0.07), fill=(190, 210, 232), width=max(1, side // 128))


def backdrop(place: str, time: str, size: int, rng: random.Random) -> np.ndarray:
    """The scene without things, ``uint8`` [size, size, 3]; ``rng`` decides where clouds, stars and drops are."""
    side = size * _SCALE
    kind = place if place in _SKIES else time
    image = _sky(kind, side, rng)
    _ground(place, ImageDraw.Draw(image), side, {"night": 0.45, "sunset": 0.75}.get(time, 1.0), rng)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))
