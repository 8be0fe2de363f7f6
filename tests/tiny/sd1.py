"""Stable Diffusion 1 in one safetensors file: the full U-Net, the distilled tiny one, and SDXS.

All widths are fixed, so the big tensors share one block. Text encoder, U-Net and VAE encoder have their real sizes; only
the VAE's decoder is a small one (the library reads its width from the file). All F16.

What works: ``model_path`` = the file, ``free_params_immediately`` = false; ``vae_decode_only`` = false where a picture
goes in. Every sampler and every scheduler gives another picture (but ``simple``, which equals ``sgm_uniform``), and so do
prompt, negative prompt with CFG, and ``clip_skip`` 1 and 2. ``taesd_path`` = ``taesd`` works and SDXS needs it (1 step).
``control_net_path`` = ``controlnet`` with ``control_image`` works on the full U-Net only: on the tiny one the library
ends the process.

| model | MB | load s | 64x64, 4 steps, s | resident MB |
|---|---|---|---|---|
| sd1_tiny | 78 | 0.7 | 2.3 | 940 |
| the same with a picture in | | 0.8 | 2.4 | 1000 |
| the same with an embedding | | 1.3 | 3.0 | 1010 |
| sdxs (1 step) | 78 + 4.9 | 0.9 | 1.0 | 930 |
| sd1 | 79 | 2.7 | 4.4 | 1970 |
| sd1 with ControlNet | + 30 | 3.3 | 7.5 | 2970 |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.tiny import clip, kl
from tests.tiny.aliased import write_aliased_safetensors
from tests.tiny.tensors import Tensor, prefixed
from tests.tiny.unet import Shape, controlnet, unet

DECODER_WIDTH = 8


def checkpoint(shape: Shape) -> Iterator[Tensor]:
    """U-Net, text encoder and autoencoder under the names of the original checkpoints."""
    yield from prefixed("model.diffusion_model.", unet(shape))
    yield from prefixed("cond_stage_model.transformer.", clip.text_encoder(768, 12))
    yield from prefixed("first_stage_model.", kl.decoder(DECODER_WIDTH, 4, post_quant=True))
    yield from prefixed("first_stage_model.", kl.encoder(4, quant=True))


def write(path: Path, seed: int, shape: Shape) -> Path:
    """Write a checkpoint whose big tensors share one block."""
    return write_aliased_safetensors(path, checkpoint(shape), seed)


def write_controlnet(path: Path, seed: int) -> Path:
    """Write a ControlNet whose big tensors share one block."""
    return write_aliased_safetensors(path, controlnet(), seed)
