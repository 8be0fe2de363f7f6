"""The U-Nets of Stable Diffusion 1 and SDXL, and the ControlNet of the former (``src/unet.hpp``, ``src/control.hpp``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.tiny.tensors import Tensor, conv, linear, norm

BASE = 320
EMBEDDING = 4 * BASE


@dataclass(frozen=True, slots=True)
class Shape:
    """What differs between the U-Nets; widths are fixed in the library."""

    context: int = 768
    """Width of the text states."""
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    depths: tuple[int, ...] = (1, 1, 1, 1)
    """Transformer blocks on each level."""
    blocks: int = 2
    """Residual blocks on each level on the way down; one more on the way up."""
    attention: tuple[int, ...] = (1, 2, 4)
    """Reductions of size at which there is attention."""
    linear_projection: bool = False
    labels: int = 0
    """Width of the vector of size conditions and pooled text (SDXL)."""
    tiny: bool = False
    """The distilled one: no middle block, and block numbers as if every level had two blocks."""


SD1 = Shape()
SD1_TINY = Shape(multipliers=(1, 2, 4), depths=(1, 1, 1), blocks=1, tiny=True)
SDXS = Shape(multipliers=(1, 2, 4), depths=(1, 1, 1), blocks=1, attention=(2, 4), tiny=True)
SDXL = Shape(
    context=2048, multipliers=(1, 2, 4), depths=(1, 2, 10), attention=(2, 4), linear_projection=True, labels=2816
)


def unet(shape: Shape) -> Iterator[Tensor]:
    """All tensors of a U-Net."""
    yield from _embeddings(shape)
    yield from conv("input_blocks.0.0", 4, BASE)
    skips, width = [BASE], BASE
    number, reduction = 0, 1
    for level, multiplier in enumerate(shape.multipliers):
        for _ in range(shape.blocks):
            number += 1
            yield from _residual(f"input_blocks.{number}.0", width, multiplier * BASE)
            width = multiplier * BASE
            if reduction in shape.attention:
                yield from _attention(f"input_blocks.{number}.1", width, shape, shape.depths[level])
            skips.append(width)
            number += shape.tiny
        if level < len(shape.multipliers) - 1:
            number += 1
            yield from conv(f"input_blocks.{number}.0.op", width, width)
            skips.append(width)
            reduction *= 2
    if not shape.tiny:
        yield from _middle(width, shape)
    yield from _way_up(shape, skips, width, reduction)
    yield from norm("out.0", BASE)
    yield from conv("out.2", BASE, 4)


def controlnet() -> Iterator[Tensor]:
    """All tensors of a ControlNet for Stable Diffusion 1."""
    shape = SD1
    yield from _embeddings(shape)
    widths = (3, 16, 16, 32, 32, 96, 96, 256, BASE)
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        yield from conv(f"input_hint_block.{2 * index}", inputs, outputs)
    yield from conv("input_blocks.0.0", 4, BASE)
    yield from conv("zero_convs.0.0", BASE, BASE, 1)
    width, number = BASE, 0
    for level, multiplier in enumerate(shape.multipliers):
        for _ in range(shape.blocks):
            number += 1
            yield from _residual(f"input_blocks.{number}.0", width, multiplier * BASE)
            width = multiplier * BASE
            if 1 << level in shape.attention:
                yield from _attention(f"input_blocks.{number}.1", width, shape, 1)
            yield from conv(f"zero_convs.{number}.0", width, width, 1)
        if level < len(shape.multipliers) - 1:
            number += 1
            yield from conv(f"input_blocks.{number}.0.op", width, width)
            yield from conv(f"zero_convs.{number}.0", width, width, 1)
    yield from _middle(width, shape)
    yield from conv("middle_block_out.0", width, width, 1)


def _embeddings(shape: Shape) -> Iterator[Tensor]:
    yield from linear("time_embed.0", BASE, EMBEDDING)
    yield from linear("time_embed.2", EMBEDDING, EMBEDDING)
    if shape.labels:
        yield from linear("label_emb.0.0", shape.labels, EMBEDDING)
        yield from linear("label_emb.0.2", EMBEDDING, EMBEDDING)


def _middle(width: int, shape: Shape) -> Iterator[Tensor]:
    yield from _residual("middle_block.0", width, width)
    yield from _attention("middle_block.1", width, shape, shape.depths[-1])
    yield from _residual("middle_block.2", width, width)


def _way_up(shape: Shape, skips: list[int], width: int, reduction: int) -> Iterator[Tensor]:
    number = 0
    for level in reversed(range(len(shape.multipliers))):
        for block in range(shape.blocks + 1):
            yield from _residual(f"output_blocks.{number}.0", width + skips.pop(), shape.multipliers[level] * BASE)
            width = shape.multipliers[level] * BASE
            part = 1
            if reduction in shape.attention:
                yield from _attention(f"output_blocks.{number}.1", width, shape, shape.depths[level])
                part = 2
            if level and block == shape.blocks:
                if shape.tiny:
                    number += 1
                    part = 1 if number == 2 else part
                yield from conv(f"output_blocks.{number}.{part}.conv", width, width)
                reduction //= 2
            number += 1


def _residual(name: str, inputs: int, outputs: int) -> Iterator[Tensor]:
    yield from norm(f"{name}.in_layers.0", inputs)
    yield from conv(f"{name}.in_layers.2", inputs, outputs)
    yield from linear(f"{name}.emb_layers.1", EMBEDDING, outputs)
    yield from norm(f"{name}.out_layers.0", outputs)
    yield from conv(f"{name}.out_layers.3", outputs, outputs)
    if inputs != outputs:
        yield from conv(f"{name}.skip_connection", inputs, outputs, 1)


def _attention(name: str, width: int, shape: Shape, depth: int) -> Iterator[Tensor]:
    def projection(part: str) -> Iterator[Tensor]:
        if shape.linear_projection:
            return linear(f"{name}.{part}", width, width)
        return conv(f"{name}.{part}", width, width, 1)

    yield from norm(f"{name}.norm", width)
    yield from projection("proj_in")
    for index in range(depth):
        block = f"{name}.transformer_blocks.{index}"
        for attention, context in (("attn1", width), ("attn2", shape.context)):
            yield from linear(f"{block}.{attention}.to_q", width, width, bias=False)
            for part in ("to_k", "to_v"):
                yield from linear(f"{block}.{attention}.{part}", context, width, bias=False)
            yield from linear(f"{block}.{attention}.to_out.0", width, width)
        yield from linear(f"{block}.ff.net.0.proj", width, 8 * width)
        yield from linear(f"{block}.ff.net.2", 4 * width, width)
        for part in ("norm1", "norm2", "norm3"):
            yield from norm(f"{block}.{part}", width)
    yield from projection("proj_out")
