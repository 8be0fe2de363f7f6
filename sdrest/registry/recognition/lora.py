"""For which architecture a LoRA was made."""

from __future__ import annotations

from collections.abc import Mapping

from sdrest.core.architecture import Architecture
from sdrest.registry.recognition.versions import Names, ne

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
