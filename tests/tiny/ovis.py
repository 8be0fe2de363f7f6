"""Ovis-Image: diffusion model and text encoder in one GGUF file; the autoencoder is the tiny one of 16 channels.

What works: ``model_path`` = this file, ``taesd_path`` = ``tae16``, ``free_params_immediately`` = false. With
``vae_decode_only`` = true text to image; with false also ``init_image`` (strength below 0.75 in 4 steps, see the
recipes), ``mask_image`` (one channel) beside it, and ``ref_images`` without it. All pictures of the size asked for.

5.0 MB + 4.9 MB; 64x64 in 4 steps: loads in 0.7 s, paints in 0.2 s (0.35 s with a picture in), 144 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.tiny.files import Quantization, write_gguf
from tests.tiny.flux import HEAD, attention, embedder, qk_norm
from tests.tiny.tensors import Fill, Tensor, constant, linear, norm, prefixed

HIDDEN = HEAD
FEED_FORWARD = 4 * HIDDEN
TEXT_WIDTH = 32
VOCABULARY = 151669
PATCH = 64
"""A patch: 16 latent channels, 2x2."""
TOKENS = "text_encoders.llm.model.embed_tokens.weight"


def transformer() -> Iterator[Tensor]:
    """The diffusion model: one double block, one single block, one head of 128."""
    yield from linear("img_in", PATCH, HIDDEN)
    yield from embedder("time_in", 256, HIDDEN, bias=True)
    yield constant("txt_norm.scale", (TEXT_WIDTH,), 1)
    yield from linear("txt_in", TEXT_WIDTH, HIDDEN)
    double = "double_blocks.0"
    for stream in ("img", "txt"):
        yield from linear(f"{double}.{stream}_mod.lin", HIDDEN, 6 * HIDDEN)
        yield from attention(f"{double}.{stream}_attn", HIDDEN, bias=True)
        for part in ("gate_proj", "up_proj"):
            yield from linear(f"{double}.{stream}_mlp.{part}", HIDDEN, FEED_FORWARD)
        yield from linear(f"{double}.{stream}_mlp.down_proj", FEED_FORWARD, HIDDEN)
    single = "single_blocks.0"
    yield from linear(f"{single}.modulation.lin", HIDDEN, 3 * HIDDEN)
    yield from linear(f"{single}.linear1", HIDDEN, 3 * HIDDEN + 2 * FEED_FORWARD)
    yield from qk_norm(f"{single}.norm")
    yield from linear(f"{single}.linear2", HIDDEN + FEED_FORWARD, HIDDEN)
    yield from linear("final_layer.linear", HIDDEN, PATCH)
    yield from linear("final_layer.adaLN_modulation.1", HIDDEN, 2 * HIDDEN)


def text_encoder() -> Iterator[Tensor]:
    """A Qwen 3 encoder of no layers: the token table and the last normalisation."""
    yield Tensor("model.embed_tokens.weight", (VOCABULARY, TEXT_WIDTH), Fill.NORMAL)
    yield from norm("model.norm", TEXT_WIDTH, bias=False)


def write(path: Path, seed: int) -> Path:
    """Write diffusion model and text encoder."""
    tensors = [
        *prefixed("model.diffusion_model.", transformer()),
        *prefixed("text_encoders.llm.", text_encoder()),
    ]
    return write_gguf(path, "ovis_image", tensors, seed, {TOKENS: Quantization.Q4_0})
