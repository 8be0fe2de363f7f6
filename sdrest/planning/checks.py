"""What can be wrong with a generation by its numbers, its pictures and its model's kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from sdrest.core.architecture import UNET_FAMILIES, Architecture, Family
from sdrest.core.errors import FieldProblem
from sdrest.core.job import JobType
from sdrest.core.model import Model
from sdrest.core.names import CacheMode, HiresUpscaler, Scheduler
from sdrest.core.parameters import MAX_SIDE_PX, Cache, GenerationParameters, VideoParameters
from sdrest.registry.defaults import Defaults

#: Architectures that make videos (``sd_version_supports_video_generation``); they make no pictures.
VIDEO_FAMILIES: Final = frozenset({Family.WAN, Family.SVD})
#: Families whose diffusion models take reference latents (``ref_latents`` in flux.hpp, qwen_image.hpp, z_image.hpp).
_REFERENCE_FAMILIES: Final = frozenset(
    {Family.FLUX, Family.FLUX2, Family.CHROMA, Family.OVIS_IMAGE, Family.QWEN_IMAGE, Family.Z_IMAGE}
)
_REFERENCE_ARCHITECTURES: Final = frozenset({Architecture.SD1_PIX2PIX, Architecture.SDXL_PIX2PIX})
#: Architectures that take a control picture without a ControlNet.
_CONTROL_ARCHITECTURES: Final = frozenset({Architecture.FLUX_CONTROLS, Architecture.FLEX_2})
#: ``sd_version_is_unet``.
_DIT_CACHES: Final = frozenset({CacheMode.EASYCACHE, CacheMode.DBCACHE, CacheMode.TAYLORSEER, CacheMode.CACHE_DIT})
#: The library's own range of caching (``sd_cache_params_init``).
_CACHE_START, _CACHE_END = 0.15, 0.95
#: The second pass goes through pixels with these, and so through the encoder.
_PIXEL_UPSCALERS: Final = frozenset({HiresUpscaler.MODEL, HiresUpscaler.LANCZOS, HiresUpscaler.NEAREST})
#: The word that PhotoMaker replaces by the person; the library aborts on a prompt without it.
PHOTO_MAKER_TRIGGER: Final = "img"

#: Whether a picture field was given.
Given = Callable[[str], bool]

_NEEDED: Final = {
    JobType.IMG2IMG: ("init_image",),
    JobType.INPAINT: ("init_image",),
    JobType.CONTROLNET: ("control_image",),
}


def number_problems(parameters: GenerationParameters, defaults: Defaults) -> Iterator[FieldProblem]:
    """Sizes, steps and noise levels that the architecture or the library cannot take."""
    for name in ("width", "height"):
        yield from _multiple(name, getattr(parameters, name), defaults.multiple)
    if parameters.scheduler is Scheduler.GITS and parameters.steps < 2:
        yield FieldProblem("steps", "the scheduler gits needs at least 2 steps")
    if parameters.custom_sigmas and len(parameters.custom_sigmas) < 2:
        yield FieldProblem("custom_sigmas", "needs at least 2 values")
    if parameters.seed + parameters.batch_count > 2**63:
        yield FieldProblem("seed", "seed + batch_count passes 2⁶³")
    yield from _hires_problems(parameters, defaults)
    if isinstance(parameters, VideoParameters) and parameters.high_noise.steps == 0:
        yield FieldProblem("high_noise.steps", "must be -1 or at least 1")


def _multiple(name: str, value: int, multiple: int) -> Iterator[FieldProblem]:
    if value % multiple:
        lower = max(multiple, value - value % multiple)
        yield FieldProblem(
            name, f"must be a multiple of {multiple} for this model; {lower} or {lower + multiple} would do"
        )


def _hires_problems(parameters: GenerationParameters, defaults: Defaults) -> Iterator[FieldProblem]:
    hires = parameters.hires
    if not hires.enabled:
        return
    for side in ("width", "height"):
        target = getattr(hires, f"target_{side}")
        yield from _multiple(f"hires.target_{side}", target, defaults.multiple)
        if not target and getattr(parameters, side) * hires.scale > MAX_SIDE_PX:
            yield FieldProblem("hires.scale", f"the {side} would pass {MAX_SIDE_PX} pixels")
    if parameters.scheduler is Scheduler.GITS and hires.steps == 1:
        yield FieldProblem("hires.steps", "the scheduler gits needs at least 2 steps")
    if hires.upscaler is HiresUpscaler.MODEL and not hires.upscale_model:
        yield FieldProblem("hires.upscale_model", "the upscaler model needs an ESRGAN model here")


def mode_problems(
    job_type: JobType, parameters: GenerationParameters, model: Model, given: Given
) -> Iterator[FieldProblem]:
    """Pictures that are missing or that the model cannot use."""
    family = model.architecture.family if model.architecture else None
    is_video = isinstance(parameters, VideoParameters)
    if is_video is not (family in VIDEO_FAMILIES):
        does = "pictures, not videos" if is_video else "videos, not pictures"
        yield FieldProblem("model", f"{model.name} makes {does}")
        return
    yield from _cache_problems(parameters.cache, family)
    if is_video:
        yield from _video_problems(parameters, model, given)
        return
    for name in _NEEDED.get(job_type, ()):
        if not given(name):
            yield FieldProblem(name, "a picture is needed")
    if job_type is JobType.INPAINT and not given("mask_image") and not parameters.outpaint.is_asked:
        yield FieldProblem("mask_image", "a picture is needed, or borders to paint (outpaint)")
    for is_asked, field in ((given("mask_image"), "mask_image"), (parameters.outpaint.is_asked, "outpaint")):
        if is_asked and not given("init_image"):
            yield FieldProblem(field, "has no meaning without init_image")
    yield from _inpaint_problems(parameters, given)
    yield from _control_problems(parameters, model, given)
    if given("ref_images") and not (family in _REFERENCE_FAMILIES or model.architecture in _REFERENCE_ARCHITECTURES):
        yield FieldProblem("ref_images", f"{_label(model)} does not take reference pictures")
    yield from _photo_maker_problems(parameters, family, given)


def _cache_problems(cache: Cache, family: Family | None) -> Iterator[FieldProblem]:
    """Step caching that the library would pass over with a line in its log (``sample-cache.cpp``)."""
    is_unet = family in UNET_FAMILIES
    if cache.mode is CacheMode.UCACHE and not is_unet:
        yield FieldProblem(
            "cache.mode", "ucache is for U-Nets (SD 1, SD 2, SDXL); easycache is its like for this model"
        )
    elif cache.mode in _DIT_CACHES and is_unet:
        yield FieldProblem("cache.mode", f"{cache.mode} is not for U-Nets; ucache and spectrum are")
    if cache.mode in {CacheMode.EASYCACHE, CacheMode.UCACHE}:
        start = _CACHE_START if cache.start_percent is None else cache.start_percent
        end = _CACHE_END if cache.end_percent is None else cache.end_percent
        if start >= end:
            yield FieldProblem("cache.start_percent", f"must be below end_percent ({end:g})")


def _video_problems(parameters: GenerationParameters, model: Model, given: Given) -> Iterator[FieldProblem]:
    """Pictures that this kind of video model passes over (``prepare_video_generation_latents``)."""
    is_vace = bool(model.traits.get("vace"))
    between = bool(model.traits.get("clip_vision")) or model.architecture is Architecture.WAN2_2_I2V
    takes = {
        "init_image": is_vace or between or model.architecture in {Architecture.WAN2_2_TI2V, Architecture.SVD},
        "end_image": between,
        "control_frames": is_vace,
    }
    for name, is_taken in takes.items():
        if given(name) and not is_taken:
            yield FieldProblem(name, f"{model.name} does not take it: it makes videos from other input")
    for name in ("mask_image", "control_image", "ref_images", "pm_id_images"):
        if given(name):
            yield FieldProblem(name, "has no meaning for videos")
    if parameters.batch_count > 1:
        yield FieldProblem("batch_count", "a job makes one video; submit more jobs")
    for is_asked, name in (
        (parameters.hires.enabled, "hires.enabled"),
        (bool(parameters.upscale_model), "upscale_model"),
        (parameters.outpaint.is_asked, "outpaint"),
        (parameters.inpaint.is_asked, "inpaint"),
    ):
        if is_asked:
            yield FieldProblem(name, "has no meaning for videos")


def _inpaint_problems(parameters: GenerationParameters, given: Given) -> Iterator[FieldProblem]:
    """Repainting that has nothing to repaint, or whose result could not be put back."""
    asked = parameters.inpaint
    if asked.is_asked and not given("mask_image"):
        yield FieldProblem("inpaint", "has no meaning without mask_image")
    elif asked.is_asked and parameters.outpaint.is_asked:
        yield FieldProblem("inpaint", "cannot be combined with outpaint; put the borders into the picture and its mask")
    if parameters.upscale_model:
        for name in ("only_masked", "keep"):
            if getattr(asked, name):
                yield FieldProblem(f"inpaint.{name}", "cannot be combined with upscale_model: enlarge the result")


def _control_problems(parameters: GenerationParameters, model: Model, given: Given) -> Iterator[FieldProblem]:
    if given("control_image") and not parameters.control_net_model:
        if model.architecture not in _CONTROL_ARCHITECTURES:
            yield FieldProblem("control_net_model", "name the ControlNet that control_image is for")
    elif parameters.control_net_model and not given("control_image"):
        yield FieldProblem("control_image", "a picture is needed for the ControlNet")


def _photo_maker_problems(
    parameters: GenerationParameters, family: Family | None, given: Given
) -> Iterator[FieldProblem]:
    if not given("pm_id_images"):
        if parameters.photo_maker_model:
            yield FieldProblem("pm_id_images", "PhotoMaker needs at least one photo")
        return
    if not parameters.photo_maker_model:
        yield FieldProblem("photo_maker_model", "name the PhotoMaker model that pm_id_images are for")
    if family is not Family.SDXL:
        yield FieldProblem("photo_maker_model", "PhotoMaker works with SDXL models")
    words = parameters.prompt.lower().replace(",", " ").replace(".", " ").split()
    if PHOTO_MAKER_TRIGGER not in words:
        yield FieldProblem(
            "prompt",
            f"must hold the word {PHOTO_MAKER_TRIGGER} after the class word, as in 'a man {PHOTO_MAKER_TRIGGER}'",
        )
    elif words.index(PHOTO_MAKER_TRIGGER) == 0:
        yield FieldProblem("prompt", f"a class word such as man or woman must go before {PHOTO_MAKER_TRIGGER}")


def encoder_problems(parameters: GenerationParameters, model: Model, given: Given) -> Iterator[FieldProblem]:
    """What cannot be done because the model's VAE has no encoder."""
    for name in ("init_image", "end_image", "control_frames", "ref_images"):
        if given(name):
            yield FieldProblem(
                name,
                f"the VAE of {model.name} has no encoder, so it cannot start from pictures; name a VAE that has one in vae_model",
            )
    if parameters.hires.enabled and parameters.hires.upscaler in _PIXEL_UPSCALERS:
        yield FieldProblem(
            "hires.upscaler",
            f"{parameters.hires.upscaler} needs a VAE with an encoder; a latent upscaler works without",
        )


def _label(model: Model) -> str:
    return model.architecture.label if model.architecture else model.name
