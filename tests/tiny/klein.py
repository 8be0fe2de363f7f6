"""FLUX.2 klein: diffusion model and text encoder in one GGUF file; the autoencoder is the tiny one of 32 channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.tiny import ovis
from tests.tiny.files import Quantization, write_gguf
from tests.tiny.flux import HEAD, attention, embedder, qk_norm
from tests.tiny.tensors import Tensor, linear, prefixed

HIDDEN = HEAD
FEED_FORWARD = 3 * HIDDEN
PATCH = 128
"""A patch: 32 latent channels, 2x2."""


def transformer() -> Iterator[Tensor]:
    """The diffusion model: one double block, one single block, one head of 128, no biases, modulation shared."""
    yield from linear("img_in", PATCH, HIDDEN, bias=False)
    yield from embedder("time_in", 256, HIDDEN, bias=False)
    yield from linear("txt_in", ovis.TEXT_WIDTH, HIDDEN, bias=False)
    yield from linear("double_stream_modulation_img.lin", HIDDEN, 6 * HIDDEN, bias=False)
    yield from linear("double_stream_modulation_txt.lin", HIDDEN, 6 * HIDDEN, bias=False)
    yield from linear("single_stream_modulation.lin", HIDDEN, 3 * HIDDEN, bias=False)
    for stream in ("img", "txt"):
        yield from attention(f"double_blocks.0.{stream}_attn", HIDDEN, bias=False)
        yield from linear(f"double_blocks.0.{stream}_mlp.0", HIDDEN, 2 * FEED_FORWARD, bias=False)
        yield from linear(f"double_blocks.0.{stream}_mlp.2", FEED_FORWARD, HIDDEN, bias=False)
    yield from linear("single_blocks.0.linear1", HIDDEN, 3 * HIDDEN + 2 * FEED_FORWARD, bias=False)
    yield from linear("single_blocks.0.linear2", HIDDEN + FEED_FORWARD, HIDDEN, bias=False)
    yield from qk_norm("single_blocks.0.norm")
    yield from linear("final_layer.linear", HIDDEN, PATCH, bias=False)
    yield from linear("final_layer.adaLN_modulation.1", HIDDEN, 2 * HIDDEN, bias=False)


def write(path: Path, seed: int) -> Path:
    """Write diffusion model and text encoder (Qwen 3 of no layers, as for Ovis-Image)."""
    tensors = [
        *prefixed("model.diffusion_model.", transformer()),
        *prefixed("text_encoders.llm.", ovis.text_encoder()),
    ]
    return write_gguf(path, "flux2", tensors, seed, {ovis.TOKENS: Quantization.Q4_0})
