"""Tiny autoencoders: TAESD for SD1 (4 channels), TAE16 for DiT models, TAE32 for FLUX.2, TAEHV for Wan
(``src/tae.hpp``).

They go into ``taesd_path``. The widths are fixed (64 channels), so these are the real sizes. A file has both halves;
with ``vae_decode_only`` the library ignores the encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.tiny.aliased import write_aliased_safetensors
from tests.tiny.files import write_safetensors
from tests.tiny.tensors import Tensor, constant, conv, norm

WIDTH = 64
BRANCH = 0.3
"""Gain of a residual branch's last convolution: ten blocks without normalisation must not grow the picture away."""


def _decoder(channels: int, *, pooled: bool) -> Iterator[Tensor]:
    """Latents to RGB in 0…1; ``pooled``: the normalised side branch that the FLUX.2 one has in its first three
    blocks."""
    layers = "decoder.layers"
    yield from conv(f"{layers}.0", channels, WIDTH)
    index = 2
    for stage in range(3):
        for _ in range(3):
            yield from _block(f"{layers}.{index}", pooled=pooled and stage == 0)
            index += 1
        yield from conv(f"{layers}.{index + 1}", WIDTH, WIDTH, bias=False)
        index += 2
    yield from _block(f"{layers}.{index}")
    yield from conv(f"{layers}.{index + 1}", WIDTH, 3, bias=False, gain=0.5)
    yield constant(f"{layers}.{index + 1}.bias", (3,), 0.5)


def _encoder(channels: int, *, pooled: bool) -> Iterator[Tensor]:
    """RGB to latents at 1/8 size."""
    layers = "encoder.layers"
    yield from conv(f"{layers}.0", 3, WIDTH)
    yield from _block(f"{layers}.1")
    index = 2
    for stage in range(3):
        yield from conv(f"{layers}.{index}", WIDTH, WIDTH, bias=False)
        index += 1
        for _ in range(3):
            yield from _block(f"{layers}.{index}", pooled=pooled and stage == 2)
            index += 1
    yield from conv(f"{layers}.{index}", WIDTH, channels)


def write_image(path: Path, seed: int, channels: int) -> Path:
    """Write a picture autoencoder of 4 (SD1, SD2, SDXL), 16 (DiT) or 32 (FLUX.2) latent channels."""
    pooled = channels == 32
    tensors = [*_decoder(channels, pooled=pooled), *_encoder(channels, pooled=pooled)]
    return write_safetensors(path, tensors, seed)


def _block(name: str, *, pooled: bool = False) -> Iterator[Tensor]:
    yield from conv(f"{name}.conv.0", WIDTH, WIDTH)
    yield from conv(f"{name}.conv.2", WIDTH, WIDTH)
    yield from conv(f"{name}.conv.4", WIDTH, WIDTH, gain=BRANCH)
    if pooled:
        yield from conv(f"{name}.pool.0", WIDTH, 4 * WIDTH, 1, bias=False)
        yield from norm(f"{name}.pool.1", 4 * WIDTH)
        yield from conv(f"{name}.pool.3", 4 * WIDTH, WIDTH, 1, bias=False, gain=BRANCH)


def write_video(path: Path, seed: int, channels: int = 16) -> Path:
    """Write the video autoencoder of Wan; its big tensors share one block.

    ``channels`` of the latents: 16, or 48 for Wan 2.2 TI2V, whose autoencoder works on patches of 2x2 pixels.
    """
    pixels = 12 if channels == 48 else 3
    return write_aliased_safetensors(path, [*_video_decoder(channels, pixels), *_video_encoder(channels, pixels)], seed)


def _video_decoder(channels: int, pixels: int) -> Iterator[Tensor]:
    widths = (256, 128, 64, 64)
    yield from conv("decoder.1", channels, widths[0])
    index = 3
    for stage, (width, following) in enumerate(pairwise(widths)):
        for _ in range(3):
            yield from _memory(f"decoder.{index}", width)
            index += 1
        yield from conv(f"decoder.{index + 1}.conv", width, width * (1 if stage == 0 else 2), 1, bias=False)
        yield from conv(f"decoder.{index + 2}", width, following, bias=False)
        index += 3
    yield from conv(f"decoder.{index + 1}", WIDTH, pixels, bias=False, gain=0.5 if pixels == 3 else 8)
    yield constant(f"decoder.{index + 1}.bias", (pixels,), 0.5)


def _video_encoder(channels: int, pixels: int) -> Iterator[Tensor]:
    yield from conv("encoder.0", pixels, WIDTH)
    index = 2
    for stage in range(3):
        yield from conv(f"encoder.{index}.conv", WIDTH * (1 if stage == 2 else 2), WIDTH, 1, bias=False)
        yield from conv(f"encoder.{index + 1}", WIDTH, WIDTH, bias=False)
        index += 2
        for _ in range(3):
            yield from _memory(f"encoder.{index}", WIDTH)
            index += 1
    yield from conv(f"encoder.{index}", WIDTH, channels)


def _memory(name: str, width: int) -> Iterator[Tensor]:
    yield from conv(f"{name}.conv.0", 2 * width, width)
    yield from conv(f"{name}.conv.2", width, width)
    yield from conv(f"{name}.conv.4", width, width, gain=BRANCH)
