"""Stable Diffusion XL in one GGUF file, and PhotoMaker (version 1) for it (``src/pmid.hpp``).

All widths are fixed, so the big tensors share blocks, matrices in Q4_0. What works: ``model_path`` = ``sdxl``,
``free_params_immediately`` = false; there is no VAE encoder. With PhotoMaker also ``photo_maker_path`` = ``photomaker``
(v2 would have to be in the path's name), ``pm_params.id_images`` of any size, and ``img`` as a word of the prompt after
the word it is about ("a man img").

| model | MB | load s | 64x64, 2 steps, s | resident MB |
|---|---|---|---|---|
| sdxl | 104 | 3–7 | 13 | 2400 |
| with PhotoMaker | + 18 | 4 | 38 | 3660 |

Both timed on 2 cores with other processes busy beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.tiny import clip, kl
from tests.tiny.aliased import write_aliased_gguf, write_aliased_safetensors
from tests.tiny.sd1 import DECODER_WIDTH
from tests.tiny.tensors import Tensor, linear, norm, prefixed
from tests.tiny.unet import SDXL, unet

BIGG_WIDTH = 1280
FUSED = 2048


def checkpoint() -> Iterator[Tensor]:
    """U-Net, both text encoders and the decoder of the autoencoder."""
    yield from prefixed("model.diffusion_model.", unet(SDXL))
    yield from prefixed("conditioner.embedders.0.transformer.", clip.text_encoder(768, 12))
    bigg = "conditioner.embedders.1.transformer."
    yield from prefixed(bigg, clip.text_encoder(BIGG_WIDTH, 32))
    yield Tensor(f"{bigg}text_model.text_projection", (BIGG_WIDTH, BIGG_WIDTH))
    yield from prefixed("first_stage_model.", kl.decoder(DECODER_WIDTH, 4, post_quant=True))


def photomaker() -> Iterator[Tensor]:
    """Vision encoder, its two projections and the fusion with the prompt; no LoRA."""
    yield from clip.vision_encoder()
    yield from linear("visual_projection", 1024, 768, bias=False)
    yield from linear("visual_projection_2", 1024, BIGG_WIDTH, bias=False)
    for name, inputs in (("mlp1", 2 * FUSED), ("mlp2", FUSED)):
        yield from norm(f"fuse_module.{name}.layernorm", inputs)
        yield from linear(f"fuse_module.{name}.fc1", inputs, FUSED)
        yield from linear(f"fuse_module.{name}.fc2", FUSED, FUSED)
    yield from norm("fuse_module.layer_norm", FUSED)


def write(path: Path, seed: int) -> Path:
    """Write the checkpoint."""
    return write_aliased_gguf(path, "sdxl", checkpoint(), seed)


def write_photomaker(path: Path, seed: int) -> Path:
    """Write the PhotoMaker file."""
    return write_aliased_safetensors(path, photomaker(), seed)
