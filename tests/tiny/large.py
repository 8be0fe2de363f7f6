"""A regular Stable Diffusion 1.5 checkpoint of full size with random weights: for measuring conversion, not for tests.

Every tensor has its own bytes, all F16, as in the published checkpoints; the numbers are cut from one random block, so
writing takes as long as the disk needs. 2.1 GB, written in 4 s in 100 MB of memory; the library loads it like ``sd1``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.tiny import clip, kl
from tests.tiny.files import safetensors_entry, safetensors_head
from tests.tiny.tensors import Fill, Tensor, fill, prefixed
from tests.tiny.unet import SD1, unet

BLOCK = 1 << 24
DEVIATION = 0.02


def checkpoint() -> Iterator[Tensor]:
    """U-Net, text encoder and the whole autoencoder."""
    yield from prefixed("model.diffusion_model.", unet(SD1))
    yield from prefixed("cond_stage_model.transformer.", clip.text_encoder(768, 12))
    yield from prefixed("first_stage_model.", kl.decoder(kl.ENCODER_WIDTH, 4, post_quant=True))
    yield from prefixed("first_stage_model.", kl.encoder(4, quant=True))


def write(path: Path, seed: int) -> Path:
    """Write the checkpoint, one tensor in memory at a time."""
    tensors = list(checkpoint())
    block = fill(Tensor("block", (BLOCK,), Fill.NORMAL, DEVIATION), seed).astype(np.float16)
    header: dict[str, object] = {}
    offset = 0
    for tensor in tensors:
        header[tensor.name] = safetensors_entry("F16", tensor, offset)
        offset += 2 * tensor.elements
    with path.open("wb") as file:
        file.write(safetensors_head(header))
        for tensor in tensors:
            if tensor.fill is Fill.CONSTANT:
                file.write(fill(tensor, seed).astype(np.float16).tobytes())
                continue
            start = zlib.crc32(tensor.name.encode()) % BLOCK
            rest = tensor.elements
            while rest:
                piece = block[start : start + rest]
                file.write(piece.tobytes())
                rest -= piece.size
                start = 0
    return path
