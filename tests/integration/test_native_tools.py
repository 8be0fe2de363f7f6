"""Upscaling, edge pictures, conversion and quantising through the binding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from sdrest.engine.child.binding import ContextParams, ImageParams, NativeError, NativeLibrary, SampleParams
from tests.native_child import in_child
from tests.tiny.fixtures import cached


def _quantize() -> dict[str, Any]:
    library = NativeLibrary.load()
    rows = np.random.default_rng(3).standard_normal((7, 256)).astype(np.float32)
    equal = {}
    for name, kind in {"q8_0": "Q8_0", "q4_0": "Q4_0", "q5_1": "Q5_1", "bf16": "BF16", "f16": "F16"}.items():
        ours = library.quantizer(name).quantize(rows)
        theirs = gguf.quants.quantize(rows, gguf.GGMLQuantizationType[kind])
        equal[name] = bool((ours == theirs.view(np.uint8).reshape(ours.shape)).all())
    error = {}
    for name in ("q4_K", "q6_K"):
        packed = library.quantizer(name).quantize(rows)
        back = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType[name.upper()])
        error[name] = float(np.abs(back - rows).mean())
    refused = []
    for name in ("q8_1", "q8_K", "i8", "iq2_xxs", "no such type"):
        with pytest.raises(ValueError, match=name):
            library.quantizer(name)
        refused.append(name)
    with pytest.raises(ValueError, match="multiple of 32"):
        library.quantizer("q8_0").quantize(rows[:, :40])
    return {"equal": equal, "error": error, "refused": len(refused)}


def test_quantised_bytes_are_those_of_gguf_and_k_types_keep_the_values() -> None:
    found = in_child(_quantize)
    assert found["equal"] == dict.fromkeys(("q8_0", "q4_0", "q5_1", "bf16", "f16"), True)
    assert found["error"]["q6_K"] < 0.03
    assert found["error"]["q4_K"] < 0.1
    assert found["refused"] == 5


def _convert(model: str, folder: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    target = Path(folder) / "modèle f16.gguf"
    library.convert(Path(model), target, "f16")
    with pytest.raises(NativeError, match="overwrite"):
        library.convert(target, target, "q8_0")
    with pytest.raises(NativeError, match="absent"):
        library.convert(Path(folder) / "absent.gguf", target.with_name("x.gguf"), "q8_0")
    with library.open_context(ContextParams(model=target, vae_decode_only=True, threads=2)) as context:
        picture = context.generate_image(ImageParams(width=64, height=64, sample=SampleParams(steps=2)))[0]
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
