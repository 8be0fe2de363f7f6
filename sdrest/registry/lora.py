"""For which architecture a LoRA was made, and whether its widths fit a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdrest.core.model import Architecture
from sdrest.registry.header import Header, TensorInfo
from sdrest.registry.versions import Names, ne

#: Words in LoRA tensor names that only one architecture has (kohya's underscores and diffusers' dots).
_WORDS: tuple[tuple[tuple[str, ...], Architecture], ...] = (
    (("joint_blocks",), Architecture.SD3),
    (("img_mod.1", "img_mod_1", "add_q_proj.lora_A.weight.txt"), Architecture.QWEN_IMAGE),
    (("llm_adapter",), Architecture.ANIMA),
    (("cap_embedder", "context_refiner", "noise_refiner"), Architecture.Z_IMAGE),
    (("adaLN_sa_ln", "adaLN.sa.ln"), Architecture.ERNIE_IMAGE),
    (("cross_attn.k", "cross_attn_k", "blocks.0.cross_attn", "blocks_0_cross_attn"), Architecture.WAN2),
    (("double_stream_modulation",), Architecture.FLUX2_KLEIN),
    (("double_blocks", "single_blocks", "single_transformer_blocks"), Architecture.FLUX),
)
_CONTEXT_KEYS = (
    "attn2_to_k.lora_down.weight",
    "attn2.to_k.lora_down.weight",
    "attn2.to_k.lora_A.weight",
    "attn2.to_k.lora.down.weight",
    "attn2.processor.to_k_lora.down.weight",
    "attn2_to_k.hada_w1_b",
)
_UNET_WIDTHS = {768: Architecture.SD1, 1024: Architecture.SD2, 2048: Architecture.SDXL}
_METADATA_WORDS: tuple[tuple[str, Architecture], ...] = (
    ("sdxl", Architecture.SDXL),
    ("sd_xl", Architecture.SDXL),
    ("stable-diffusion-xl", Architecture.SDXL),
    ("sd3", Architecture.SD3),
    ("flux.2", Architecture.FLUX2_KLEIN),
    ("flux2", Architecture.FLUX2_KLEIN),
    ("flux", Architecture.FLUX),
    ("qwen", Architecture.QWEN_IMAGE),
    ("wan", Architecture.WAN2),
    ("z_image", Architecture.Z_IMAGE),
    ("z-image", Architecture.Z_IMAGE),
    ("sd_v2", Architecture.SD2),
    ("stable-diffusion-v2", Architecture.SD2),
    ("sd_v1", Architecture.SD1),
    ("stable-diffusion-v1", Architecture.SD1),
)


def lora_architecture(names: Names, metadata: Mapping[str, object]) -> Architecture | None:
    """The architecture that a LoRA's names, widths and training metadata point to, in that order of trust."""
    for words, architecture in _WORDS:
        if names.any_of(*words):
            return architecture
    for key in _CONTEXT_KEYS:
        width = ne(names.find(key), 0)
        if width in _UNET_WIDTHS:
            return _UNET_WIDTHS[width]
    if names.any_of("lora_te2_", "lora_te2.", "text_encoder_2."):
        return Architecture.SDXL
    said = " ".join(
        str(metadata.get(key, "")) for key in ("ss_base_model_version", "modelspec.architecture", "ss_sd_model_name")
    ).lower()
    return next((architecture for word, architecture in _METADATA_WORDS if word in said), None)


_DOWN = (".lora_A.weight", ".lora_down.weight", ".lora.down.weight", "_lora.down.weight", ".lora_A.default.weight")
_UP = (".lora_B.weight", ".lora_up.weight", ".lora.up.weight", "_lora.up.weight", ".lora_B.default.weight")
_LORA_PREFIXES = (
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "unet.",
    "lora_unet_",
)
_MODEL_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.")


@dataclass(frozen=True, slots=True)
class LoraFit:
    """How the layers of a LoRA match a model: how many were found there by name, and what does not fit, in words."""

    matched: int
    conflict: str = ""


def lora_fit(lora: Header, model: Header) -> LoraFit:
    """Compare the widths of a LoRA's layers with the weights they are added to.

    Only layers that bear the model's own names (with dots or kohya's underscores) are found; the library aborts on a
    width that
    differs (``ggml_add`` of unequal shapes).
    """
    targets = {
        _squeeze(t.name.removesuffix(".weight"), _MODEL_PREFIXES): t.shape for t in model.tensors if _is_layer(t)
    }
    shapes = {tensor.name: tensor.shape for tensor in lora.tensors}
    matched = 0
    for name, down in shapes.items():
        ending = next((ending for ending in _DOWN if name.endswith(ending)), None)
        if ending is None or len(down) < 2:
            continue
        layer = name.removesuffix(ending)
        target = targets.get(_squeeze(layer, _LORA_PREFIXES))
        up = shapes.get(layer + _UP[_DOWN.index(ending)])
        if target is None or up is None:
            continue
        matched += 1
        if (up[0], down[1]) != (target[0], target[1]):
            return LoraFit(
                matched, f"its layer {layer} is {down[1]} → {up[0]} wide, the model's is {target[1]} → {target[0]}"
            )
    return LoraFit(matched)


def _is_layer(tensor: TensorInfo) -> bool:
    return tensor.name.endswith(".weight") and len(tensor.shape) >= 2


def _squeeze(name: str, prefixes: tuple[str, ...]) -> str:
    for prefix in prefixes:
        name = name.removeprefix(prefix)
    return name.replace(".", "_")
