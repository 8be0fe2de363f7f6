"""Upscaling, edge pictures and conversion through the binding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from sdrest.core.parameters import GenerationParameters
from sdrest.engine.child.binding import ContextParams, NativeError, NativeLibrary
from sdrest.outputs.edges import canny_edges
from tests.native_child import in_child
from tests.tiny.fixtures import cached


def _convert(model: str, folder: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    target = Path(folder) / "modèle f16.gguf"
    library.convert(Path(model), target, "f16")
    with pytest.raises(NativeError, match="overwrite"):
        library.convert(target, target, "q8_0")
    with pytest.raises(NativeError, match="absent"):
        library.convert(Path(folder) / "absent.gguf", target.with_name("x.gguf"), "q8_0")
    with library.open_context(ContextParams(model=target, vae_decode_only=True, threads=1)) as context:
        picture = context.generate(GenerationParameters(width=64, height=64, seed=0, steps=2))[0]
    return {"size": target.stat().st_size, "deviation": float(picture.std())}


def test_a_converted_model_loads_and_paints(tmp_path: Path) -> None:
    found = in_child(_convert, cached("ernie"), tmp_path)
    assert found["size"] > 1 << 20
    assert found["deviation"] > 1


def _canny() -> dict[str, Any]:
    library = NativeLibrary.load()
    picture = np.zeros((48, 48, 3), np.uint8)
    picture[16:32, 16:32] = 255
    before = picture.copy()
    edges = library.canny(picture)
    return {
        "shape": edges.shape,
        "inside": int(edges[22:26, 22:26].max()),
        "border": int(edges[14:18, 20:28].max()),
        "unchanged": bool((picture == before).all()),
    }


def test_canny_marks_edges_and_leaves_its_input_alone() -> None:
    found = in_child(_canny)
    assert found == {"shape": [48, 48, 3], "inside": 0, "border": 255, "unchanged": True}


def _edges_both_ways() -> dict[str, Any]:
    library = NativeLibrary.load()
    drawing = Image.new("RGB", (200, 150), (30, 60, 90))
    draw = ImageDraw.Draw(drawing)
    draw.ellipse((30, 30, 120, 110), fill=(240, 200, 10))
    draw.rectangle((100, 20, 180, 90), fill=(10, 250, 100))
    pictures = {
        "noise": np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8),
        "black": np.zeros((20, 20, 3), np.uint8),
        "drawing": np.asarray(drawing),
        "blurred": np.asarray(drawing.filter(ImageFilter.GaussianBlur(4))),
    }
    return {
        name: float((library.canny(pixels.copy()) != canny_edges(pixels)).mean()) for name, pixels in pictures.items()
    }


def test_edges_made_without_the_library_are_its_own() -> None:
    found = in_child(_edges_both_ways)
    assert (found["noise"], found["black"]) == (0, 0)
    assert max(found["drawing"], found["blurred"]) < 0.03, "only where neighbours are equally strong, rounding decides"


def _upscale(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    picture = np.random.default_rng(1).integers(0, 256, (16, 24, 3), np.uint8)
    upscaler = library.open_upscaler(Path(model), 2)
    larger = upscaler.upscale(picture)
    factor = upscaler.factor
    upscaler.close()
    upscaler.close()
    with pytest.raises(NativeError, match="closed"):
        upscaler.upscale(picture)
    return {"shape": larger.shape, "factor": factor, "deviation": float(larger.std())}


def test_upscaling_multiplies_both_sides() -> None:
    found = in_child(_upscale, cached("esrgan"))
    assert found["shape"] == [16 * found["factor"], 24 * found["factor"], 3]
    assert found["factor"] > 1
    assert found["deviation"] > 1
