"""The closed sets of names a request may use: samplers, schedulers and the library's other enumerations.

The values are the library's own names (``sd_sample_method_name``, ``sd_scheduler_name`` …, library 0.4.7). Clients spell them in
many ways (``DPM++ 2M Karras``, ``k_euler_a``); :func:`parse_sampler` and :func:`parse_scheduler` understand those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum


class Sampler(StrEnum):
    """Sampling methods (``enum sample_method_t``)."""

    EULER = "euler"
    EULER_A = "euler_a"
    HEUN = "heun"
    DPM2 = "dpm2"
    DPMPP2S_A = "dpm++2s_a"
    DPMPP2M = "dpm++2m"
    DPMPP2MV2 = "dpm++2mv2"
    IPNDM = "ipndm"
    IPNDM_V = "ipndm_v"
    LCM = "lcm"
    DDIM_TRAILING = "ddim_trailing"
    TCD = "tcd"
    RES_MULTISTEP = "res_multistep"
    RES_2S = "res_2s"
    ER_SDE = "er_sde"


class Scheduler(StrEnum):
    """Noise schedules (``enum scheduler_t``)."""

    DISCRETE = "discrete"
    KARRAS = "karras"
    EXPONENTIAL = "exponential"
    AYS = "ays"
    GITS = "gits"
    SGM_UNIFORM = "sgm_uniform"
    SIMPLE = "simple"
    SMOOTHSTEP = "smoothstep"
    KL_OPTIMAL = "kl_optimal"
    LCM = "lcm"
    BONG_TANGENT = "bong_tangent"


class PreviewMode(StrEnum):
    """How a preview is made while sampling (``enum preview_t``)."""

    NONE = "none"
    PROJ = "proj"
    TAE = "tae"
    VAE = "vae"


class LoraApplyMode(StrEnum):
    """When LoRA weights are merged (``enum lora_apply_mode_t``)."""

    AUTO = "auto"
    IMMEDIATELY = "immediately"
    AT_RUNTIME = "at_runtime"


class CacheMode(StrEnum):
    """Step-caching methods (``enum sd_cache_mode_t``)."""

    DISABLED = "disabled"
    EASYCACHE = "easycache"
    UCACHE = "ucache"
    DBCACHE = "dbcache"
    TAYLORSEER = "taylorseer"
    CACHE_DIT = "cache-dit"
    SPECTRUM = "spectrum"


class Speed(StrEnum):
    """How far a picture may differ from the exact one for the sake of time."""

    EXACT = "exact"
    BALANCED = "balanced"
    FAST = "fast"


class Language(StrEnum):
    """Languages of the pages, as HTML names them."""

    ENGLISH = "en"
    GERMAN = "de"
    SPANISH = "es"
    FRENCH = "fr"
    JAPANESE = "ja"
    CHINESE = "zh-Hans"


class PictureFormat(StrEnum):
    """File formats of finished pictures."""

    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    JPEG = "jpeg"


class SigningAlgorithm(StrEnum):
    """Signatures that C2PA knows."""

    ES256 = "es256"
    ES384 = "es384"
    ES512 = "es512"
    PS256 = "ps256"
    PS384 = "ps384"
    PS512 = "ps512"
    ED25519 = "ed25519"


class InpaintFill(StrEnum):
    """What is under the mask when repainting begins."""

    ORIGINAL = "original"
    SURROUNDINGS = "surroundings"


class HiresUpscaler(StrEnum):
    """How the hires step enlarges the first picture (``enum sd_hires_upscaler_t``)."""

    LATENT = "latent"
    LATENT_NEAREST = "latent_nearest"
    LATENT_NEAREST_EXACT = "latent_nearest_exact"
    LATENT_ANTIALIASED = "latent_antialiased"
    LATENT_BICUBIC = "latent_bicubic"
    LATENT_BICUBIC_ANTIALIASED = "latent_bicubic_antialiased"
    LANCZOS = "lanczos"
    NEAREST = "nearest"
    MODEL = "model"


#: Names that people see, as A1111-style clients spell them.
SAMPLER_LABELS: Mapping[Sampler, str] = {
    Sampler.EULER: "Euler",
    Sampler.EULER_A: "Euler a",
    Sampler.HEUN: "Heun",
    Sampler.DPM2: "DPM2",
    Sampler.DPMPP2S_A: "DPM++ 2S a",
    Sampler.DPMPP2M: "DPM++ 2M",
    Sampler.DPMPP2MV2: "DPM++ 2M v2",
    Sampler.IPNDM: "iPNDM",
    Sampler.IPNDM_V: "iPNDM v",
    Sampler.LCM: "LCM",
    Sampler.DDIM_TRAILING: "DDIM trailing",
    Sampler.TCD: "TCD",
    Sampler.RES_MULTISTEP: "RES multistep",
    Sampler.RES_2S: "RES 2S",
    Sampler.ER_SDE: "ER SDE",
}

SCHEDULER_LABELS: Mapping[Scheduler, str] = {
    Scheduler.DISCRETE: "Normal",
    Scheduler.KARRAS: "Karras",
    Scheduler.EXPONENTIAL: "Exponential",
    Scheduler.AYS: "Align Your Steps",
    Scheduler.GITS: "GITS",
    Scheduler.SGM_UNIFORM: "SGM Uniform",
    Scheduler.SIMPLE: "Simple",
    Scheduler.SMOOTHSTEP: "Smoothstep",
    Scheduler.KL_OPTIMAL: "KL Optimal",
    Scheduler.LCM: "LCM",
    Scheduler.BONG_TANGENT: "Bong Tangent",
}


def _squeeze(name: str) -> str:
    """``name`` without case, spaces, underscores and dashes: what spellings of one name have in common."""
    return re.sub(r"[\s_\-]+", "", name.lower())


_SAMPLERS: dict[str, Sampler] = {_squeeze(s): s for s in Sampler}
_SAMPLERS |= {_squeeze(label): s for s, label in SAMPLER_LABELS.items()}

_SAMPLERS |= {
    "eulerancestral": Sampler.EULER_A,
    "dpmpp2m": Sampler.DPMPP2M,
    "dpmpp2mv2": Sampler.DPMPP2MV2,
    "dpmpp2sa": Sampler.DPMPP2S_A,
    "dpmpp2sancestral": Sampler.DPMPP2S_A,
    "ddim": Sampler.DDIM_TRAILING,
}
# k-diffusion's names.
_SAMPLERS |= {"k" + key: sampler for key, sampler in _SAMPLERS.items()}
_SCHEDULERS: dict[str, Scheduler] = {_squeeze(s): s for s in Scheduler}
_SCHEDULERS |= {_squeeze(label): s for s, label in SCHEDULER_LABELS.items()}
_SCHEDULERS |= {"default": Scheduler.DISCRETE, "uniform": Scheduler.DISCRETE}


def parse_sampler(name: str) -> tuple[Sampler, Scheduler | None] | None:
    """The sampler ``name`` means, and the scheduler when the name ends with one (``DPM++ 2M Karras``); None if unknown."""
    key = _squeeze(name)
    if key in _SAMPLERS:
        return _SAMPLERS[key], None
    for suffix, scheduler in _SCHEDULERS.items():
        if key.endswith(suffix) and key.removesuffix(suffix) in _SAMPLERS:
            return _SAMPLERS[key.removesuffix(suffix)], scheduler
    return None


def parse_scheduler(name: str) -> Scheduler | None:
    """The scheduler ``name`` means, or None if unknown (``automatic`` has no meaning here: leave the field out)."""
    return _SCHEDULERS.get(_squeeze(name))
