"""The FLUX.2 autoencoder with an encoder, which ERNIE-Image and FLUX.2 need for pictures in: ``vae_path``.

The encoder's width is fixed (34 million values), so its big tensors share one block of the file. The decoder is the
small one that is also in the one-file ERNIE-Image. With ``vae_decode_only`` = false ``init_image`` and ``mask_image``
work on ``ernie``.

5.5 MB; with ``ernie``, 64x64 in 4 steps with a picture in: loads in 1.1 s, paints in 1.0 s, 250 MB.
"""

from __future__ import annotations

from pathlib import Path

from tests.tiny import kl
from tests.tiny.aliased import write_aliased_safetensors
from tests.tiny.ernie import DECODER_WIDTH, LATENT_CHANNELS


def write(path: Path, seed: int) -> Path:
    """Write encoder and decoder."""
    tensors = [
        *kl.decoder(DECODER_WIDTH, LATENT_CHANNELS, post_quant=True),
        *kl.encoder(LATENT_CHANNELS, quant=True),
    ]
    return write_aliased_safetensors(path, tensors, seed)
