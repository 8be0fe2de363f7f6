"""Wan video models in one GGUF file each, without their text encoder (``src/wan.hpp``).

All widths and the number of layers are fixed (30 or 40), so the big tensors share one block, in Q4_0. What works:
``diffusion_model_path`` = this file, ``taesd_path`` = ``taehv`` (``taehv48`` for TI2V), ``free_params_immediately`` =
false, then ``generate_video`` with ``video_frames`` = 1 + a multiple of 4. Without a text encoder (``t5xxl_path``) the
library warns, and prompts have no effect; the seed has. A model that sees its first picture through CLIP needs
``clip_vision_path`` = ``clip_vision``, and the second half of a two-model pair goes into
``high_noise_diffusion_model_path``.

Text to video of 1.3B: 13 MB + 4.7 MB; 64x64, 5 frames in 2 steps: loads in 1.5 s, 11 s, 930 MB. The first-last-frame
layout exists in 40 layers only: 9 GB in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tiny.aliased import write_aliased_gguf, write_aliased_safetensors
from tests.tiny.clip import VISION_H
from tests.tiny.tensors import Fill, Tensor, constant, linear, norm

TEXT_WIDTH = 4096
TIME_WIDTH = 256
VACE_CHANNELS = 96
PICTURE_TOKENS = 257
"""States that CLIP gives for one picture."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes and parts by which the library tells the Wan models apart."""

    width: int = 1536
    feed_forward: int = 8960
    layers: int = 30
    inputs: int = 16
    """Channels that go in: the latents, and with them the encoded pictures and their mask."""
    latents: int = 16
    clip: bool = False
    """It attends to CLIP's view of the first picture."""
    clip_positions: bool = False
    """It tells the first picture's states from the last one's."""
    vace: bool = False
    """It has one VACE block, which takes control frames and a reference picture."""


T2V = Shape()
VACE = Shape(vace=True)
I2V = Shape(inputs=36, clip=True)
FLF2V = Shape(width=5120, feed_forward=13824, layers=40, inputs=36, clip=True, clip_positions=True)
TI2V = Shape(width=3072, feed_forward=14336, inputs=48, latents=48)


def transformer(shape: Shape) -> Iterator[Tensor]:
    """The diffusion model. ``patch_embedding`` has five dimensions, of which GGUF keeps the first two as one."""
    width = shape.width
    yield from _patches("patch_embedding", shape.inputs, width)
    yield from linear("text_embedding.0", TEXT_WIDTH, width)
    yield from linear("text_embedding.2", width, width)
    yield from linear("time_embedding.0", TIME_WIDTH, width)
    yield from linear("time_embedding.2", width, width)
    yield from linear("time_projection.1", width, 6 * width)
    for index in range(shape.layers):
        yield from _block(f"blocks.{index}", shape)
    if shape.clip:
        yield from _picture_projection(shape)
    if shape.vace:
        yield from _patches("vace_patch_embedding", VACE_CHANNELS, width)
        yield from linear("vace_blocks.0.before_proj", width, width)
        yield from _block("vace_blocks.0", shape)
        yield from linear("vace_blocks.0.after_proj", width, width)
    yield constant("head.modulation", (1, 2, width), 0.1)
    yield from linear("head.head", width, 4 * shape.latents)


def _patches(name: str, channels: int, width: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (width * channels, 1, 2, 2), gain=0.2)
    yield constant(f"{name}.bias", (width,), 0)


def _picture_projection(shape: Shape) -> Iterator[Tensor]:
    yield from norm("img_emb.proj.0", VISION_H.width)
    yield from linear("img_emb.proj.1", VISION_H.width, VISION_H.width)
    yield from linear("img_emb.proj.3", VISION_H.width, shape.width)
    yield from norm("img_emb.proj.4", shape.width)
    if shape.clip_positions:
        yield Tensor("img_emb.emb_pos", (1, 2 * PICTURE_TOKENS, VISION_H.width), Fill.NORMAL, 0.02)


def _block(block: str, shape: Shape) -> Iterator[Tensor]:
    width = shape.width
    yield constant(f"{block}.modulation", (1, 6, width), 0.1)
    for attention in ("self_attn", "cross_attn"):
        for part in ("q", "k", "v", "o"):
            yield from linear(f"{block}.{attention}.{part}", width, width)
        yield from norm(f"{block}.{attention}.norm_q", width, bias=False)
        yield from norm(f"{block}.{attention}.norm_k", width, bias=False)
    if shape.clip:
        for part in ("k_img", "v_img"):
            yield from linear(f"{block}.cross_attn.{part}", width, width)
        yield from norm(f"{block}.cross_attn.norm_k_img", width, bias=False)
    yield from norm(f"{block}.norm3", width)
    yield from linear(f"{block}.ffn.0", width, shape.feed_forward)
    yield from linear(f"{block}.ffn.2", shape.feed_forward, width)


def write(path: Path, seed: int, *, shape: Shape = T2V) -> Path:
    """Write the diffusion model."""
    return write_aliased_gguf(path, "wan", transformer(shape), seed)


def write_high_noise(path: Path, seed: int, *, change: int = 1) -> Path:
    """Write a model of the same layout as ``T2V`` with other weights, for the first steps of a two-model pair."""
    return write(path, seed + change)


def write_half(path: Path, seed: int) -> Path:
    """Write ``T2V`` in F16, into whose weights a LoRA can be merged: 2.8 GB in memory."""
    return write_aliased_safetensors(path, transformer(T2V), seed)
