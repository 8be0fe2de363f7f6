"""The KL autoencoder's tensors (``src/auto_encoder_kl.hpp`` of stable-diffusion.cpp).

The library reads the decoder's base width from ``decoder.conv_in`` and always expects an encoder of base width 128. At
a width of 32 or less its 32-group normalisation has one channel a group (instance normalisation), which works.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.tiny.tensors import Tensor, conv, norm

MULTIPLIERS = (1, 2, 4, 4)
ENCODER_WIDTH = 128


def decoder(width: int, channels: int, *, post_quant: bool) -> Iterator[Tensor]:
    """Decoder from ``channels`` latent channels at 1/8 size to RGB; ``post_quant``: with the 1x1 convolution before
    it."""
    if post_quant:
        yield from conv("post_quant_conv", channels, channels, 1)
    inner = width * MULTIPLIERS[-1]
    yield from conv("decoder.conv_in", channels, inner)
    yield from _middle("decoder.mid", inner)
    for level in reversed(range(len(MULTIPLIERS))):
        outer = width * MULTIPLIERS[level]
        for block in range(3):
            yield from _resnet(f"decoder.up.{level}.block.{block}", inner, outer)
            inner = outer
        if level:
            yield from conv(f"decoder.up.{level}.upsample.conv", inner, inner)
    yield from norm("decoder.norm_out", inner)
    yield from conv("decoder.conv_out", inner, 3)


def encoder(channels: int, *, quant: bool) -> Iterator[Tensor]:
    """Encoder from RGB to mean and log-variance of ``channels`` latent channels at 1/8 size (34 million values)."""
    inner = ENCODER_WIDTH
    yield from conv("encoder.conv_in", 3, inner)
    for level, multiplier in enumerate(MULTIPLIERS):
        outer = ENCODER_WIDTH * multiplier
        for block in range(2):
            yield from _resnet(f"encoder.down.{level}.block.{block}", inner, outer)
            inner = outer
        if level < len(MULTIPLIERS) - 1:
            yield from conv(f"encoder.down.{level}.downsample.conv", inner, inner)
    yield from _middle("encoder.mid", inner)
    yield from norm("encoder.norm_out", inner)
    yield from conv("encoder.conv_out", inner, 2 * channels)
    if quant:
        yield from conv("quant_conv", 2 * channels, 2 * channels, 1)


def _resnet(name: str, inputs: int, outputs: int) -> Iterator[Tensor]:
    yield from norm(f"{name}.norm1", inputs)
    yield from conv(f"{name}.conv1", inputs, outputs)
    yield from norm(f"{name}.norm2", outputs)
    yield from conv(f"{name}.conv2", outputs, outputs)
    if inputs != outputs:
        yield from conv(f"{name}.nin_shortcut", inputs, outputs, 1)


def _middle(name: str, width: int) -> Iterator[Tensor]:
    yield from _resnet(f"{name}.block_1", width, width)
    yield from norm(f"{name}.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        yield from conv(f"{name}.attn_1.{part}", width, width, 1)
    yield from _resnet(f"{name}.block_2", width, width)
