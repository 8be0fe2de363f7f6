"""The comparison of two files as a picture: one bar for each tensor, in the order of the file."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sdrest.conversion.compare import Comparison, TensorError

_WIDTH, _HEIGHT = 1280, 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 84, 56
_INK, _GRID, _PAPER = "#1b1f24", "#d8dee4", "#ffffff"
_COLOURS = ("#2f6feb", "#1a7f37", "#bf8700", "#8250df", "#cf222e", "#0a7ea4", "#6e7781")


def relative_error(error: TensorError) -> float:
    """RMSE as a part of the values' own RMS; 0 for equal tensors, 1 where nothing but noise is left."""
    return min(1.0, error.rmse / error.rms) if error.rms else 0.0


def draw_chart(comparison: Comparison, path: Path, title: str) -> None:
    """Write a PNG of the relative error by tensor, in per cent; the colour is the element type in the second file."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(13), ImageFont.load_default(18)
    errors = comparison.errors
    kinds = list(dict.fromkeys(error.second_type for error in errors))
    colours = {kind: _COLOURS[index % len(_COLOURS)] for index, kind in enumerate(kinds)}
    draw.text((_LEFT, 16), f"{title}: relative error by tensor", fill=_INK, font=large)
    left = _LEFT
    for kind in kinds:
        draw.rectangle((left, 50, left + 12, 62), fill=colours[kind])
        draw.text((left + 18, 48), kind.value, fill=_INK, font=small)
        left += 30 + int(draw.textlength(kind.value, font=small))
    top = _scale(max((relative_error(error) for error in errors), default=0.0))
    width, height, floor = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM, _HEIGHT - _BOTTOM
    for step in range(6):
        y = floor - height * step / 5
        draw.line((_LEFT, y, _WIDTH - _RIGHT, y), fill=_GRID)
        draw.text((_LEFT - 8, y), f"{top * 100 * step / 5:.3g} %", fill=_INK, font=small, anchor="rm")
    for index, error in enumerate(errors):
        start = _LEFT + width * index / len(errors)
        end = max(start, _LEFT + width * (index + 1) / len(errors) - 1)
        y = floor - height * relative_error(error) / top
        draw.rectangle((start, y, end, floor), fill=colours[error.second_type])
    worst = comparison.worst
    if worst is not None:
        text = f"{len(errors)} tensors in file order; worst: {worst.name} ({worst.snr_db:.1f} dB, max error {worst.max:.3g})"
        draw.text((_LEFT, _HEIGHT - 34), text, fill=_INK, font=small)
    image.save(path, format="PNG")


def _scale(most: float) -> float:
    """The top of the scale: the next 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 0.01
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= most)
