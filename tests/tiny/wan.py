"""Wan 2.1 text to video of 1.3B in one GGUF file, without its text encoder (``src/wan.hpp``).

All widths and the number of layers are fixed, so the big tensors share one block, in Q4_0. What works:
``diffusion_model_path`` = this file, ``taesd_path`` = ``taehv``, ``free_params_immediately`` = false, then
``generate_video`` with ``video_frames`` = 1 + a multiple of 4. Without a text encoder (``t5xxl_path``) the library warns, and
prompts have no effect; the seed has.

13 MB + 4.7 MB; 64x64, 5 frames in 2 steps: loads in 1.5 s, 11 s, 930 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.tiny.aliased import write_aliased_gguf
from tests.tiny.tensors import Fill, Tensor, linear, norm

WIDTH = 1536
FEED_FORWARD = 8960
TEXT_WIDTH = 4096
LAYERS = 30
CHANNELS = 16
VACE_CHANNELS = 96


def transformer(*, vace: bool = False) -> Iterator[Tensor]:
    """The diffusion model, with one VACE block if wanted. ``patch_embedding`` has five dimensions, of which GGUF keeps the
    first two as one."""
    yield Tensor("patch_embedding.weight", (WIDTH * CHANNELS, 1, 2, 2), gain=0.2)
    yield Tensor("patch_embedding.bias", (WIDTH,), Fill.CONSTANT, 0)
    yield from linear("text_embedding.0", TEXT_WIDTH, WIDTH)
    yield from linear("text_embedding.2", WIDTH, WIDTH)
    yield from linear("time_embedding.0", 256, WIDTH)
    yield from linear("time_embedding.2", WIDTH, WIDTH)
    yield from linear("time_projection.1", WIDTH, 6 * WIDTH)
    for index in range(LAYERS):
        yield from _block(f"blocks.{index}")
    if vace:
        yield Tensor("vace_patch_embedding.weight", (WIDTH * VACE_CHANNELS, 1, 2, 2), gain=0.2)
        yield Tensor("vace_patch_embedding.bias", (WIDTH,), Fill.CONSTANT, 0)
        yield from linear("vace_blocks.0.before_proj", WIDTH, WIDTH)
        yield from _block("vace_blocks.0")
        yield from linear("vace_blocks.0.after_proj", WIDTH, WIDTH)
    yield Tensor("head.modulation", (1, 2, WIDTH), Fill.CONSTANT, 0.1)
    yield from linear("head.head", WIDTH, 4 * CHANNELS)


def _block(block: str) -> Iterator[Tensor]:
    yield Tensor(f"{block}.modulation", (1, 6, WIDTH), Fill.CONSTANT, 0.1)
    for attention in ("self_attn", "cross_attn"):
        for part in ("q", "k", "v", "o"):
            yield from linear(f"{block}.{attention}.{part}", WIDTH, WIDTH)
        yield from norm(f"{block}.{attention}.norm_q", WIDTH, bias=False)
        yield from norm(f"{block}.{attention}.norm_k", WIDTH, bias=False)
    yield from norm(f"{block}.norm3", WIDTH)
    yield from linear(f"{block}.ffn.0", WIDTH, FEED_FORWARD)
    yield from linear(f"{block}.ffn.2", FEED_FORWARD, WIDTH)


def write(path: Path, seed: int, *, vace: bool = False) -> Path:
    """Write the diffusion model; with ``vace`` one that takes control frames and a reference picture."""
    return write_aliased_gguf(path, "wan", transformer(vace=vace), seed)
