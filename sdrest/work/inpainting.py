"""Repainting a part of a picture: what the library gets of picture and mask, and how its result is put back into the picture.

Where the mask is black, the finished picture is the initial one, byte for byte (``only_masked``, ``keep``). The initial picture is
taken as it is with ``only_masked``, else in the size of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from sdrest.core.names import InpaintFill
from sdrest.core.parameters import GenerationParameters

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
#: Left, top, right, bottom in pixels, as Pillow has them.
Box = tuple[int, int, int, int]
Size = tuple[int, int]

#: What takes the place of pixels when none is known.
_GREY = 127.0


@dataclass(frozen=True, slots=True)
class Repainting:
    """A picture, its mask of the same size, the part of both that the library works on, and the size it works in."""

    picture: Image.Image
    mask: Image.Image
    box: Box
    size: Size
    fill: InpaintFill

    def for_library(self) -> tuple[Image.Image, Image.Image]:
        """The picture (RGB) and the mask (grey) that the library gets."""
        picture, mask = self.picture.crop(self.box), self.mask.crop(self.box)
        if self.fill is InpaintFill.SURROUNDINGS:
            picture = filled(picture, mask)
        return _resized(picture, self.size), mask.resize(self.size, Image.Resampling.BILINEAR)

    def finished(self, made: Pixels) -> Pixels:
        """What the library has made, put back. Where a second pass made the whole picture larger, all of it is."""
        picture, mask, box = self.picture, self.mask, self.box
        result = Image.fromarray(made)
        if box == (0, 0, *picture.size):
            picture, mask = _resized(picture, result.size), mask.resize(result.size, Image.Resampling.BILINEAR)
            box = (0, 0, *result.size)
        result = _resized(result, (box[2] - box[0], box[3] - box[1]))
        whole = picture.copy()
        whole.paste(result, box[:2], mask.crop(box))
        return np.asarray(whole)


def repainting(parameters: GenerationParameters, picture: Image.Image, mask: Image.Image) -> Repainting:
    """How ``picture`` (RGB) is repainted where ``mask`` (grey, of any size) is white."""
    asked, size = parameters.inpaint, (parameters.width, parameters.height)
    if not asked.only_masked:
        picture = _resized(picture, size)
    mask = mask.resize(picture.size, Image.Resampling.BILINEAR)
    if asked.blur:
        mask = mask.filter(ImageFilter.GaussianBlur(asked.blur))
    box = region(mask, asked.padding, size) if asked.only_masked else (0, 0, *picture.size)
    return Repainting(picture, mask, box, size, asked.fill)


def region(mask: Image.Image, padding: int, size: Size) -> Box:
    """The part of the picture around the white of ``mask`` with ``padding`` pixels, in the proportions of ``size`` where the
    picture has room for them; all of it when nothing is white.
    """
    found = mask.getbbox()
    if found is None:
        return (0, 0, *mask.size)
    left, top = max(0, found[0] - padding), max(0, found[1] - padding)
    right, bottom = min(mask.width, found[2] + padding), min(mask.height, found[3] + padding)
    left, right = _grown(left, right, round((bottom - top) * size[0] / size[1]), mask.width)
    top, bottom = _grown(top, bottom, round((right - left) * size[1] / size[0]), mask.height)
    return (left, top, right, bottom)


def _grown(start: int, end: int, wanted: int, limit: int) -> tuple[int, int]:
    """A stretch of ``wanted`` or more around another one, within 0 and ``limit``."""
    wanted = min(max(wanted, end - start), limit)
    first = min(max(0, start - (wanted - (end - start)) // 2), limit - wanted)
    return first, first + wanted


def filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """``picture`` with the colours of its surroundings, drawn together, where ``mask`` is white."""
    keep = 1 - np.asarray(mask, dtype=np.float32) / 255
    pixels = np.asarray(picture, dtype=np.float32)
    return Image.fromarray(np.clip(np.round(_drawn_together(pixels, keep)), 0, 255).astype(np.uint8))


def _drawn_together(pixels: np.ndarray[Any, Any], keep: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Pixels by how far they are known (0 to 1), the rest from a picture of half the size, of which more is known."""
    height, width = keep.shape
    if keep.min() >= 1:
        return pixels
    if height == 1 and width == 1:
        return pixels * keep[..., None] + _GREY * (1 - keep[..., None]) if keep[0, 0] == 0 else pixels
    weights = _halved(keep)
    colours = _halved(pixels * keep[..., None]) / np.maximum(weights, 1e-6)[..., None]
    coarse = _drawn_together(colours, np.minimum(1, weights * 4))
    size = (width, height)
    below = [
        np.asarray(Image.fromarray(np.ascontiguousarray(coarse[..., index])).resize(size, Image.Resampling.BILINEAR))
        for index in range(coarse.shape[2])
    ]
    together: np.ndarray[Any, Any] = pixels * keep[..., None] + np.stack(below, axis=2) * (1 - keep[..., None])
    return together


def _halved(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Means of two by two values; the last row or column of an odd number counts twice."""
    odd = [(0, side % 2) for side in values.shape[:2]] + [(0, 0)] * (values.ndim - 2)
    even = np.pad(values, odd, mode="edge")
    halves: np.ndarray[Any, Any] = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return halves


def _resized(picture: Image.Image, size: Size) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


def is_put_back(parameters: GenerationParameters) -> bool:
    """Whether what the library makes is only a part of the finished picture."""
    return bool(parameters.mask_image) and (parameters.inpaint.only_masked or parameters.inpaint.keep)
