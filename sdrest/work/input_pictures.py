"""Input pictures as the engine needs them: three channels (masks one), all of the job's size, in ``.npy`` files.

The library ends the process when sizes of initial picture, mask and control picture differ or channels are not three.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFilter

from sdrest.core.parameters import GenerationParameters, Outpaint
from sdrest.planning.memory import input_files
from sdrest.work.inpainting import Pixels, Repainting, is_put_back, repainting

#: Parameters whose pictures keep their own sizes.
_OWN_SIZE: Final = frozenset({"ref_images", "pm_id_images"})


def prepare_inputs(parameters: GenerationParameters, source: Path, target: Path) -> dict[str, tuple[str, ...]]:
    """Write the job's pictures from the folder ``source`` into the folder ``target``; the files by parameter name."""
    pictures: dict[str, list[Image.Image]] = {}
    for field, names in input_files(parameters).items():
        pictures[field] = [Image.open(source / name) for name in names]
    arranged = arrange(parameters, pictures)
    files: dict[str, tuple[str, ...]] = {}
    for field, arrays in arranged.items():
        paths = []
        for index, array in enumerate(arrays):
            path = target / f"{field}_{index}.npy"
            content = io.BytesIO()
            np.save(content, array)
            path.write_bytes(content.getbuffer())  # what NumPy raises of a file does not tell a full disk
            paths.append(str(path))
        files[field] = tuple(paths)
    return files


def arrange(
    parameters: GenerationParameters, pictures: Mapping[str, Sequence[Image.Image]]
) -> dict[str, list[np.ndarray[Any, np.dtype[np.uint8]]]]:
    """The pictures as arrays of the sizes and channels that the library takes; with outpainting, the wider picture and its mask;
    with repainting of a part alone, that part.

    Transparent parts are white in pictures, and kept (black) in masks.
    """
    size = (parameters.width, parameters.height)
    arranged: dict[str, list[np.ndarray[Any, np.dtype[np.uint8]]]] = {}
    for field, items in pictures.items():
        if field == "mask_image":
            arranged[field] = [np.asarray(_mask(items[0]).resize(size, Image.Resampling.BILINEAR))]
        elif field in _OWN_SIZE:
            arranged[field] = [np.asarray(flattened(item)) for item in items]
        else:
            arranged[field] = [np.asarray(_resized(flattened(item), size)) for item in items]
    if parameters.inpaint.is_asked and pictures.get("init_image") and pictures.get("mask_image"):
        inner = repainting_of(parameters, pictures["init_image"][0], pictures["mask_image"][0])
        picture, inner_mask = inner.for_library()
        arranged["init_image"], arranged["mask_image"] = [np.asarray(picture)], [np.asarray(inner_mask)]
    if parameters.outpaint.is_asked and pictures.get("init_image"):
        mask = pictures["mask_image"][0] if pictures.get("mask_image") else None
        wide, wide_mask = widened(pictures["init_image"][0], mask, parameters.outpaint, size)
        arranged["init_image"], arranged["mask_image"] = [wide], [wide_mask]
    return arranged


def repainting_of(parameters: GenerationParameters, picture: Image.Image, mask: Image.Image) -> Repainting:
    """How a picture is repainted under a mask, both as they were sent."""
    return repainting(parameters, flattened(picture), _mask(mask))


def put_back(parameters: GenerationParameters, source: Path, made: Pixels) -> Pixels:
    """What the library has made, as a part of the job's initial picture in the folder ``source`` where that is asked for."""
    if not is_put_back(parameters):
        return made
    with Image.open(source / parameters.init_image) as picture, Image.open(source / parameters.mask_image) as mask:
        return repainting_of(parameters, picture, mask).finished(made)


def flattened(picture: Image.Image) -> Image.Image:
    """``picture`` in RGB, on white where it is transparent."""
    if picture.mode == "RGB":
        return picture
    if "A" not in picture.getbands():
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def widened(
    picture: Image.Image, mask: Image.Image | None, frame: Outpaint, size: tuple[int, int]
) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.uint8]]]:
    """The picture set into one of ``size`` with borders to paint, and the mask (white) of the borders.

    The borders hold the picture's edge pixels drawn out and blurred, so that sampling starts from fitting colours. The mask
    reaches ``feather`` pixels into the old picture, fading, on the sides that are widened.
    """
    inner = (max(1, size[0] - frame.left - frame.right), max(1, size[1] - frame.top - frame.bottom))
    pixels = np.asarray(_resized(flattened(picture), inner))
    borders = ((frame.top, size[1] - inner[1] - frame.top), (frame.left, size[0] - inner[0] - frame.left))
    stretched = Image.fromarray(np.pad(pixels, (*borders, (0, 0)), mode="edge"))
    wide = np.array(stretched.filter(ImageFilter.GaussianBlur(max(1, min(size) // 32))))
    wide[borders[0][0] : borders[0][0] + inner[1], borders[1][0] : borders[1][0] + inner[0]] = pixels
    rows = _keep_profile(inner[1], borders[0], frame.feather)
    columns = _keep_profile(inner[0], borders[1], frame.feather)
    keep = np.minimum.outer(rows, columns)
    made = np.round(255 * (1 - keep)).astype(np.uint8)
    if mask is not None:
        own = np.asarray(_mask(mask).resize(inner, Image.Resampling.BILINEAR))
        made = np.maximum(made, np.pad(own, borders))
    return wide, made


def _keep_profile(inner: int, borders: tuple[int, int], feather: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How much of the old picture stays along one axis: 0 in the borders, rising over ``feather`` pixels to 1."""
    position = np.arange(inner, dtype=np.float64)
    keep = np.ones(inner)
    width = min(feather, inner // 2)
    if width and borders[0]:
        keep = np.minimum(keep, (position + 1) / (width + 1))
    if width and borders[1]:
        keep = np.minimum(keep, (inner - position) / (width + 1))
    return np.pad(keep, borders)


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


def _mask(picture: Image.Image) -> Image.Image:
    """A mask in one channel, black where it is transparent."""
    if "A" not in picture.getbands():
        return picture.convert("L")
    rgba = picture.convert("RGBA")
    black = Image.new("RGB", rgba.size, "black")
    black.paste(rgba, mask=rgba.getchannel("A"))
    return black.convert("L")
