"""From the many tensor names in use to the library's own (``name_conversion.cpp``).

The library renames every file it loads, so a file may keep its names; what is renamed here is the name by which LoRA
tensors find the weights they change, and the names of converted files when that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from sdrest.core.architecture import Architecture, Family
from sdrest.registry.recognition.naming.autoencoder import kl_name
from sdrest.registry.recognition.naming.lora import lora_name
from sdrest.registry.recognition.naming.text import text_encoder_name
from sdrest.registry.recognition.naming.transformer import flux_name, lumina_name, sd3_name
from sdrest.registry.recognition.naming.unet import sd1_unet_name, sdxl_unet_name

_DIFFUSION = "model.diffusion_model."
_TEXT = ("cond_stage_model.1.", "cond_stage_model.", "conditioner.embedders.", "text_encoders.")
_FIRST_STAGE = ("first_stage_model.", "vae.")
_SDXS = frozenset({Architecture.SDXS_512_DS, Architecture.SDXS_09})
_FLUX_LIKE = frozenset({Family.FLUX, Family.CHROMA, Family.OVIS_IMAGE})

#: Prefixes of other layouts. Longer ones stand before those they begin with.
_PREFIXES: tuple[tuple[str, str], ...] = (
    ("diffusion_model.", _DIFFUSION),
    ("unet.", _DIFFUSION),
    ("transformer.", _DIFFUSION),
    ("vae.", "first_stage_model."),
    ("text_encoder.2.", "cond_stage_model.1.transformer."),
    ("text_encoder.", "cond_stage_model.transformer."),
    ("te.", "cond_stage_model.transformer."),
    ("conditioner.embedders.0.open_clip.", "cond_stage_model."),
    ("conditioner.embedders.0.", "cond_stage_model."),
    ("conditioner.embedders.1.", "cond_stage_model.1."),
    ("te2.", "cond_stage_model.1.transformer."),
    ("te1.", "cond_stage_model.transformer."),
    ("te3.", "text_encoders.t5xxl.transformer."),
)
_PHOTOMAKER = {
    "pmid.vision_model.visual_projection.weight": "pmid.visual_projection.weight",
    **{
        f"pmid.qformer_perceiver.perceiver_resampler.layers.{layer}.1.{old}.weight": (
            f"pmid.qformer_perceiver.perceiver_resampler.layers.{layer}.1.1.{new}.weight"
        )
        for layer in range(4)
        for old, new in (("1", "fc1"), ("3", "fc2"))
    },
    **{
        f"pmid.qformer_perceiver.token_proj.{old}.{end}": f"pmid.qformer_perceiver.token_proj.{new}.{end}"
        for old, new in (("0", "fc1"), ("2", "fc2"))
        for end in ("weight", "bias")
    },
}


def convert_names(names: Iterable[str], version: Architecture | None) -> list[str]:
    """The library's names for ``names``, in order; ``version`` is what it recognises the file as."""
    return [convert_name(name, version) for name in names]


def convert_name(name: str, version: Architecture | None) -> str:
    """The library's name for one tensor (``convert_tensor_name``). LoRA tensors are those that begin with ``lora.``."""
    family = version.family if version is not None else None
    is_lora = name.startswith("lora.")
    if is_lora:
        name = lora_name(name, is_unet=family in {Family.SD1, Family.SD2, Family.SDXL})
    name = _other_prefix(name, family)
    if name.startswith(_DIFFUSION):
        name = _DIFFUSION + _diffusion_name(name.removeprefix(_DIFFUSION), family)
    prefix = next((prefix for prefix in _TEXT if name.startswith(prefix)), "")
    if prefix:
        name = prefix + text_encoder_name(name.removeprefix(prefix))
    for prefix in _FIRST_STAGE:
        if name.startswith(prefix):
            converted = kl_name(name.removeprefix(prefix))
            name = ("tae." if version in _SDXS else prefix) + converted
            break
    name = _PHOTOMAKER.get(name, name)
    name = name.removeprefix("control_model.")
    return "lora." + name if is_lora else name


def _other_prefix(name: str, family: Family | None) -> str:
    for old, new in _PREFIXES:
        if name.startswith(old):
            to_clip_l = old == "te1." and family in _FLUX_LIKE
            return ("text_encoders.clip_l.transformer." if to_clip_l else new) + name.removeprefix(old)
    return name


def _diffusion_name(name: str, family: Family | None) -> str:
    match family:
        case Family.SD1 | Family.SD2:
            return sd1_unet_name(name)
        case Family.SDXL:
            return sdxl_unet_name(name)
        case Family.SD3:
            return sd3_name(name)
        case Family.FLUX | Family.CHROMA | Family.OVIS_IMAGE | Family.FLUX2:
            return flux_name(name)
        case Family.Z_IMAGE:
            return lumina_name(name)
        case Family.ANIMA:
            return name if name.startswith("net.") else "net." + name
        case _:
            return name
