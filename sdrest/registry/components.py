"""Which components each architecture takes, and which registered files can be them.

Sources: the library's ``StableDiffusionGGML::init`` (what it builds per version) and the conditioners' own demands.
Widths decide what fits: a text encoder whose states are wider than the diffusion model takes ends the process in an
assertion.
"""

from __future__ import annotations

from typing import Final

from sdrest.core.architecture import Architecture, Family
from sdrest.core.model import Component, Model, Need, Requirement

_TEXT = "turns the prompt into the states that this architecture reads"
_VAE = "decodes latents into pictures"
_CLIP_VISION = "reads the picture that the video starts from"
_LLM_VISION = "reads reference pictures when editing, if the language model's file lacks its vision part"
_HIGH_NOISE = "does the first, noisy steps of the two-model Wan 2.2"
_BETTER_VAE = "sdxl_vae-fp16-fix is quicker and more exact than the built-in one at half precision"
#: What parts are for, in words: pages show them in the reader's language.
REASONS: Final = (_TEXT, _VAE, _CLIP_VISION, _LLM_VISION, _HIGH_NOISE, _BETTER_VAE)

_TEXT_ENCODERS: dict[Family, tuple[Component, ...]] = {
    Family.SD1: (Component.CLIP_L,),
    Family.SD2: (Component.CLIP_L,),
    Family.SDXL: (Component.CLIP_L, Component.CLIP_G),
    Family.SVD: (),
    Family.SD3: (Component.CLIP_L, Component.CLIP_G, Component.T5XXL),
    Family.FLUX: (Component.CLIP_L, Component.T5XXL),
    Family.CHROMA: (Component.T5XXL,),
    Family.FLUX2: (Component.LLM,),
    Family.WAN: (Component.T5XXL,),
    Family.QWEN_IMAGE: (Component.LLM,),
    Family.ANIMA: (Component.LLM,),
    Family.Z_IMAGE: (Component.LLM,),
    Family.OVIS_IMAGE: (Component.LLM,),
    Family.ERNIE_IMAGE: (Component.LLM,),
}
#: Channels of the latent space, and whether its autoencoder is the video kind.
_LATENTS: dict[Family, tuple[int, bool]] = {
    **dict.fromkeys((Family.SD1, Family.SD2, Family.SDXL, Family.SVD), (4, False)),
    **dict.fromkeys((Family.SD3, Family.FLUX, Family.CHROMA, Family.Z_IMAGE, Family.OVIS_IMAGE), (16, False)),
    **dict.fromkeys((Family.FLUX2, Family.ERNIE_IMAGE), (32, False)),
    **dict.fromkeys((Family.WAN, Family.QWEN_IMAGE, Family.ANIMA), (16, True)),
}
#: Layers of the language model that are joined for one text state.
_JOINED_LAYERS = {Family.FLUX2: 3}
#: U-Nets with fewer blocks than those of their family, for which the library builds its ControlNets (``control.hpp``).
_SMALL_UNETS = frozenset(
    {
        Architecture.SD1_TINY_UNET,
        Architecture.SDXS_512_DS,
        Architecture.SD2_TINY_UNET,
        Architecture.SDXS_09,
        Architecture.SDXL_VEGA,
        Architecture.SDXL_SSD1B,
    }
)
_MISTRAL_VOCABULARY = 131_072
_MISTRAL = frozenset({Architecture.FLUX2, Architecture.ERNIE_IMAGE})
_UMT5_VOCABULARY = 200_000


def latent_space(architecture: Architecture) -> tuple[int, bool]:
    """Channels of an architecture's latents, and whether they need a video autoencoder."""
    if architecture is Architecture.WAN2_2_TI2V:
        return 48, True
    return _LATENTS[architecture.family]


def requirements(model: Model) -> tuple[Requirement, ...]:
    """Everything that ``model`` takes beside itself, whether its file already holds it or not."""
    architecture = model.architecture
    if architecture is None:
        return ()
    # Video models paint without a text encoder too: from their first picture, or nothing in particular.
    text_need = Need.WANTED if architecture.family is Family.WAN else Need.REQUIRED
    found = [Requirement(part, text_need, _TEXT) for part in _TEXT_ENCODERS[architecture.family]]
    if architecture is not Architecture.CHROMA_RADIANCE:
        found.append(Requirement(Component.VAE, Need.REQUIRED, _VAE))
    if architecture is Architecture.SVD or (architecture.family is Family.WAN and model.traits.get("clip_vision")):
        found.append(Requirement(Component.CLIP_VISION, Need.REQUIRED, _CLIP_VISION))
    if architecture is Architecture.QWEN_IMAGE:
        found.append(Requirement(Component.LLM_VISION, Need.RECOMMENDED, _LLM_VISION))
    if is_low_noise(model):
        found.append(Requirement(Component.HIGH_NOISE, Need.REQUIRED, _HIGH_NOISE))
    if architecture.family is Family.SDXL and Component.VAE in model.embedded:
        found.append(Requirement(Component.VAE, Need.RECOMMENDED, _BETTER_VAE))
    return tuple(found)


def missing(model: Model) -> tuple[Component, ...]:
    """Required components that the model's own file does not hold."""
    needed = (need.component for need in requirements(model) if need.need is Need.REQUIRED)
    return tuple(component for component in needed if component not in model.embedded)


def is_low_noise(model: Model) -> bool:
    """Whether the file is the low-noise half of a two-model video architecture. Only its name can tell."""
    if model.architecture not in {Architecture.WAN2, Architecture.WAN2_2_I2V}:
        return False
    return "lownoise" in model.name.lower().replace("_", "").replace("-", "").replace(" ", "")


def fits(component: Component, candidate: Model, model: Model) -> bool:
    """Whether ``candidate`` can be that component of ``model``, as far as headers tell."""
    architecture = model.architecture
    if not candidate.usable or not candidate.type & component.model_type or architecture is None:
        return False
    match component:
        case Component.VAE | Component.TAESD:
            return _decodes(candidate, architecture)
        case Component.CLIP_L | Component.CLIP_G | Component.CLIP_VISION:
            return candidate.traits.get("hidden_size") == _clip_width(component, architecture)
        case Component.T5XXL:
            is_umt5 = candidate.traits.get("vocabulary", 0) > _UMT5_VOCABULARY
            return is_umt5 is (architecture.family is Family.WAN) and _width_fits(candidate, model)
        case Component.LLM:
            return _vocabulary_fits(candidate, architecture) and _width_fits(candidate, model)
        case Component.HIGH_NOISE:
            return candidate.architecture is architecture and candidate.id != model.id
        case Component.CONTROLNET | Component.PHOTOMAKER:
            small = component is Component.CONTROLNET and architecture in _SMALL_UNETS
            of_family = candidate.architecture is None or candidate.architecture.family is architecture.family
            return of_family and not small
        case Component.LLM_VISION:
            return True


def _clip_width(component: Component, architecture: Architecture) -> int:
    # bigG, and of vision encoders ViT-H, the only one that the library builds (``FrozenCLIPVisionEmbedder``).
    if component in {Component.CLIP_G, Component.CLIP_VISION}:
        return 1280
    return 1024 if architecture.family is Family.SD2 else 768


def _decodes(candidate: Model, architecture: Architecture) -> bool:
    channels, video = latent_space(architecture)
    return candidate.traits.get("latent_channels") == channels and bool(candidate.traits.get("video")) is video


def _width_fits(candidate: Model, model: Model) -> bool:
    taken, given = model.traits.get("context_width"), candidate.traits.get("hidden_size")
    if taken is None or given is None or model.architecture is None:
        return True
    return given * _JOINED_LAYERS.get(model.architecture.family, 1) == taken


def _vocabulary_fits(candidate: Model, architecture: Architecture) -> bool:
    vocabulary = candidate.traits.get("vocabulary")
    return vocabulary is None or (vocabulary == _MISTRAL_VOCABULARY) is (architecture in _MISTRAL)
