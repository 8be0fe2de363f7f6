"""A Real-ESRGAN upscaler ×4 with one block (``src/esrgan.hpp``) that repeats each pixel 4x4 and changes nothing else.

Its convolutions pass three channels through and its residual branches end in zeros, so the result is known: the picture
itself, enlarged with nearest neighbours. A real upscaler's whole graph runs all the same.

What works: ``new_upscaler_ctx(path, offload_params_to_cpu=false, direct=false, n_threads=2, tile_size=0)``, then
``upscale(context, picture, 4)``; also as ``hires.model_path``. The library goes by content, not by extension: safetensors
here, a torch ``.pth`` alike.

1.8 MB; 64x64 to 256x256: loads in 0.2 s, 1.7 s, 130 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.tiny.files import write_safetensors
from tests.tiny.tensors import Fill, Tensor, constant, conv

WIDTH = 64
GROWTH = 32


def tensors() -> Iterator[Tensor]:
    """All tensors, under the names of the original RRDBNet."""
    yield from _pass("conv_first", 3, WIDTH)
    for block in range(1, 4):
        name = f"body.0.rdb{block}"
        for step in range(1, 5):
            yield from conv(f"{name}.conv{step}", WIDTH + (step - 1) * GROWTH, GROWTH)
        yield from _nothing(f"{name}.conv5", WIDTH + 4 * GROWTH)
    yield from _nothing("conv_body", WIDTH)
    for name in ("conv_up1", "conv_up2", "conv_hr"):
        yield from _pass(name, WIDTH, WIDTH)
    yield from _pass("conv_last", WIDTH, 3)


def write(path: Path, seed: int) -> Path:
    """Write the upscaler."""
    return write_safetensors(path, tensors(), seed)


def _pass(name: str, inputs: int, outputs: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (outputs, inputs, 3, 3), Fill.IDENTITY)
    yield constant(f"{name}.bias", (outputs,), 0)


def _nothing(name: str, inputs: int) -> Iterator[Tensor]:
    yield constant(f"{name}.weight", (WIDTH, inputs, 3, 3), 0)
    yield constant(f"{name}.bias", (WIDTH,), 0)
