"""ERNIE-Image in one GGUF file: diffusion model, text encoder and KL decoder. Text to image only.

What works (``sd_ctx_params_t`` after ``sd_ctx_params_init``): ``model_path`` = the file, ``vae_decode_only`` = true
(there is no encoder: false gives NULL), ``free_params_immediately`` = false, ``n_threads`` = 2; nothing else. Not
``diffusion_model_path``: it would put ``model.diffusion_model.`` before the text encoder's names as well.
``sd_img_gen_params_t`` after ``sd_img_gen_params_init``: ``prompt``, ``width`` and ``height`` (multiples of 16),
``seed``, ``sample_params.sample_steps``; ``guidance.txt_cfg`` 1 or, with a negative prompt, more. Every sampler and
every scheduler but ``ays`` (flat picture).

Only GGUF works: the reader of safetensors sorts names, and the library takes the number of heads from a tensor that
then comes before the width.

3.5 MB; 64x64 in 4 steps: loads in 1.0 s, paints in 0.1 s, 152 MB (2 threads, 2 cores).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.tiny import kl
from tests.tiny.files import Quantization, write_gguf
from tests.tiny.tensors import Fill, Tensor, conv, linear, norm, prefixed

HIDDEN = 128
FEED_FORWARD = 256
TEXT_WIDTH = 32
VOCABULARY = 131072
LATENT_CHANNELS = 32
DECODER_WIDTH = 8
TOKENS = "text_encoders.llm.model.embed_tokens.weight"


def transformer() -> Iterator[Tensor]:
    """The diffusion model: one layer, one head of 128. ``x_embedder`` must come first: the library takes the width
    from it."""
    yield from conv("x_embedder.proj", 128, HIDDEN, 1)
    yield from linear("text_proj", TEXT_WIDTH, HIDDEN, bias=False)
    yield from linear("time_embedding.linear_1", HIDDEN, HIDDEN)
    yield from linear("time_embedding.linear_2", HIDDEN, HIDDEN)
    yield from linear("adaLN_modulation.1", HIDDEN, 6 * HIDDEN)
    layer = "layers.0"
    yield from norm(f"{layer}.adaLN_sa_ln", HIDDEN, bias=False)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        yield from linear(f"{layer}.self_attention.{part}", HIDDEN, HIDDEN, bias=False)
    for part in ("norm_q", "norm_k"):
        yield from norm(f"{layer}.self_attention.{part}", HIDDEN, bias=False)
    yield from norm(f"{layer}.adaLN_mlp_ln", HIDDEN, bias=False)
    yield from linear(f"{layer}.mlp.gate_proj", HIDDEN, FEED_FORWARD, bias=False)
    yield from linear(f"{layer}.mlp.up_proj", HIDDEN, FEED_FORWARD, bias=False)
    yield from linear(f"{layer}.mlp.linear_fc2", FEED_FORWARD, HIDDEN, bias=False)
    yield from linear("final_norm.linear", HIDDEN, 2 * HIDDEN)
    yield from linear("final_linear", HIDDEN, 128)


def text_encoder() -> Iterator[Tensor]:
    """A Ministral encoder of no layers: the token table and the last normalisation."""
    yield Tensor("model.embed_tokens.weight", (VOCABULARY, TEXT_WIDTH), Fill.NORMAL)
    yield from norm("model.norm", TEXT_WIDTH, bias=False)


def write(path: Path, seed: int) -> Path:
    """Write the one-file model."""
    tensors = [
        *prefixed("model.diffusion_model.", transformer()),
        *prefixed("text_encoders.llm.", text_encoder()),
        *prefixed("first_stage_model.", kl.decoder(DECODER_WIDTH, LATENT_CHANNELS, post_quant=True)),
    ]
    texts = {"general.name": "tiny ERNIE-Image with random weights", "general.license": "MIT"}
    return write_gguf(path, "ernie_image", tensors, seed, {TOKENS: Quantization.Q4_0}, texts)
