"""LoRA files of rank 4: ones that fit, ones of the wrong width, truncated ones.

A file goes into ``sd_lora_t.path`` with ``multiplier`` 1. Names are those of ComfyUI (``diffusion_model.``…``.lora_A``)
for DiT models and those of kohya (``lora_unet_``…``.lora_down``, ``alpha``) for Stable Diffusion 1.

On models with a quantised tensor, as these, a LoRA is applied at run time; its file is read for text encoder, diffusion
model and autoencoder apart, and each file costs at least 0.2 s: a LoRA adds 0.6 s to each generation.

What the library does: one that fits changes the picture; a wrong width ends the process (SIGABRT) in
``generate_image``, which no check before it prevents; a truncated one loads with what it can read and gives NaN, shown
as one flat picture. Each file is under 40 kB.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.tiny.files import write_safetensors
from tests.tiny.tensors import Tensor, constant

RANK = 4
ERNIE = {"layers.0.self_attention.to_v": (128, 128), "final_linear": (128, 128)}
OVIS = {
    "double_blocks.0.img_attn.proj": (128, 128),
    "double_blocks.0.img_mlp.down_proj": (512, 128),
    "final_layer.linear": (128, 64),
}
WAN = {"blocks.0.self_attn.v": (1536, 1536), "head.head": (1536, 64)}
SD1 = {
    "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v": (768, 320),
    "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_out_0": (320, 320),
}
"""Layer → (inputs, outputs)."""


def write(path: Path, seed: int, layers: Mapping[str, tuple[int, int]], excess: int = 0) -> Path:
    """Write a LoRA for ``layers``; ``excess`` inputs too many make it one of the wrong width."""
    tensors = []
    for layer, (inputs, outputs) in layers.items():
        name = f"diffusion_model.{layer}"
        tensors.append(Tensor(f"{name}.lora_A.weight", (RANK, inputs + excess)))
        tensors.append(Tensor(f"{name}.lora_B.weight", (outputs, RANK)))
    return write_safetensors(path, tensors, seed)


def write_kohya(path: Path, seed: int, layers: Mapping[str, tuple[int, int]]) -> Path:
    """Write a LoRA in the names of kohya's scripts, with alpha equal to the rank (scale 1)."""
    tensors = []
    for layer, (inputs, outputs) in layers.items():
        name = f"lora_unet_{layer}"
        tensors.append(Tensor(f"{name}.lora_down.weight", (RANK, inputs)))
        tensors.append(Tensor(f"{name}.lora_up.weight", (outputs, RANK)))
        tensors.append(constant(f"{name}.alpha", (), RANK))
    return write_safetensors(path, tensors, seed)


def write_truncated(path: Path, seed: int, layers: Mapping[str, tuple[int, int]]) -> Path:
    """Write a LoRA whose last third is missing: the header promises more than there is."""
    write(path, seed, layers)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)
    return path
