"""What a client may ask for: the one table of generation parameters.

Each dataclass field carries its :class:`Limits` (range, meaning) in its metadata. Request bodies, ``/api/parameters``, the OpenAPI
document and the forms of the web UI are all built from these tables, so a limit is written once.

Picture fields (``init_image`` …) hold the *name of a file* in the job's input folder; an empty string means no picture. Requests
may send base64, ``data:`` URLs, http(s) URLs or ``job:<id>/<file>`` references there: the web layer turns those into files.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from sdrest.core.names import (
    CacheMode,
    HiresUpscaler,
    InpaintFill,
    LoraApplyMode,
    PictureFormat,
    PreviewMode,
    Sampler,
    Scheduler,
    Speed,
)

#: Longest prompt in characters. The library's tokenizer recurses per character; the child's 64 MB stack carries 20,000 safely.
MAX_PROMPT_CHARACTERS: Final = 20_000
#: Smallest and largest side of a picture in pixels; architectures may allow less.
MIN_SIDE_PX: Final = 16
MAX_SIDE_PX: Final = 4096
MAX_SEED: Final = 2**63 - 1
RANDOM_SEED: Final = -1
#: Random seeds stay below 2³²: every client, also one with 32-bit or floating-point numbers, can send them back.
SEED_BOUND: Final = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a field means and which values it takes."""

    help: str
    ge: float | None = None
    le: float | None = None
    max_length: int | None = None
    #: True when the field is a picture; see the module text.
    picture: bool = False
    #: The kind of model file the field names (a ``ModelType`` name), or empty.
    model_type: str = ""


def param(default: Any, help: str, **limits: Any) -> Any:  # noqa: A002 - reads best at the call
    """A dataclass field with its :class:`Limits`. A callable ``default`` is a factory."""
    metadata = {"limits": Limits(help=help, **limits)}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def limits_of(item: dataclasses.Field[Any]) -> Limits:
    """The :class:`Limits` of a parameter field."""
    found = item.metadata["limits"]
    assert isinstance(found, Limits)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """One LoRA to apply (``sd_lora_t``)."""

    name: str = param("", "Name of a LoRA model, with or without sub-folder and extension.", max_length=500)
    multiplier: float = param(1.0, "Weight of the LoRA; negative weights invert it.", ge=-10, le=10)
    high_noise: bool = param(False, "Apply to the high-noise model of a two-model video architecture.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipLayerGuidance:
    """Skip-layer guidance for DiT models (``sd_slg_params_t``); off when ``scale`` is 0."""

    layers: tuple[int, ...] = param((7, 8, 9), "Layers skipped in the second pass.", max_length=64)
    start: float = param(0.01, "Fraction of the steps at which it begins.", ge=0, le=1)
    end: float = param(0.2, "Fraction of the steps at which it ends.", ge=0, le=1)
    scale: float = param(0.0, "Strength; 0 turns it off, 2.5 is usual for SD3.5 medium.", ge=0, le=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """Tiled VAE encoding and decoding, for large pictures in little memory (``sd_tiling_params_t``)."""

    enabled: bool = param(False, "Work in tiles.")
    tile_size_x: int = param(0, "Tile width in latent pixels; 0 is the library's own (32).", ge=0, le=1024)
    tile_size_y: int = param(0, "Tile height in latent pixels; 0 is the library's own (32).", ge=0, le=1024)
    target_overlap: float = param(0.5, "Overlap of neighbouring tiles as a fraction of a tile.", ge=0, le=0.9)
    rel_size_x: float = param(
        0.0, "Tile width as a fraction of the picture (or a tile count when above 1); 0: unused.", ge=0, le=64
    )
    rel_size_y: float = param(
        0.0, "Tile height as a fraction of the picture (or a tile count when above 1); 0: unused.", ge=0, le=64
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Re-use of intermediate results between steps: faster, slightly different pictures (``sd_cache_params_t``)."""

    mode: CacheMode = param(CacheMode.DISABLED, "Caching method; which one works depends on the architecture.")
    reuse_threshold: float | None = param(
        None, "Error below which a step is reused (easycache, ucache); empty: the library's.", ge=0, le=100
    )
    start_percent: float | None = param(None, "Fraction of the steps at which caching begins.", ge=0, le=1)
    end_percent: float | None = param(None, "Fraction of the steps at which caching ends.", ge=0, le=1)
    error_decay_rate: float | None = param(None, "Decay of the accumulated error (ucache).", ge=0, le=1)
    use_relative_threshold: bool | None = param(None, "Scale the threshold by the output (ucache).")
    reset_error_on_compute: bool | None = param(None, "Forget the accumulated error after a computed step (ucache).")
    fn_compute_blocks: int | None = param(None, "First blocks always computed (dbcache, cache-dit).", ge=0, le=1000)
    bn_compute_blocks: int | None = param(None, "Last blocks always computed (dbcache, cache-dit).", ge=0, le=1000)
    residual_diff_threshold: float | None = param(
        None, "Difference below which blocks are reused (dbcache, cache-dit).", ge=0, le=100
    )
    max_warmup_steps: int | None = param(None, "Steps always computed at the start.", ge=0, le=1000)
    max_cached_steps: int | None = param(None, "Most steps reused; -1: no bound.", ge=-1, le=1000)
    max_continuous_cached_steps: int | None = param(None, "Most steps reused in a row; -1: no bound.", ge=-1, le=1000)
    taylorseer_n_derivatives: int | None = param(None, "Order of the Taylor expansion.", ge=1, le=4)
    taylorseer_skip_interval: int | None = param(None, "Steps between computed steps.", ge=1, le=100)
    scm_mask: str = param("", "Steps to compute, as comma-separated 0 and 1 (cache-dit).", max_length=4000)
    scm_policy_dynamic: bool | None = param(None, "Decide within the mask by the measured difference (cache-dit).")
    spectrum_w: float | None = param(None, "Mixing weight (spectrum).", ge=0, le=1)
    spectrum_m: int | None = param(None, "Polynomial order (spectrum).", ge=1, le=64)
    spectrum_lam: float | None = param(None, "Regularisation (spectrum).", ge=0, le=1000)
    spectrum_window_size: int | None = param(None, "First window in steps (spectrum).", ge=1, le=1000)
    spectrum_flex_window: float | None = param(None, "Growth of the window (spectrum).", ge=0, le=100)
    spectrum_warmup_steps: int | None = param(None, "Steps computed before forecasting (spectrum).", ge=0, le=1000)
    spectrum_stop_percent: float | None = param(
        None, "Fraction of the steps after which all are computed (spectrum).", ge=0, le=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hires:
    """A second pass at a larger size (``sd_hires_params_t``)."""

    enabled: bool = param(False, "Make the second pass.")
    upscaler: HiresUpscaler = param(HiresUpscaler.LATENT, "How the first picture is enlarged.")
    upscale_model: str = param("", "ESRGAN model for the upscaler `model`.", max_length=500, model_type="esrgan")
    scale: float = param(2.0, "Enlargement; ignored when a target size is given.", ge=1, le=8)
    target_width: int = param(0, "Width after the second pass in pixels; 0: by scale.", ge=0, le=MAX_SIDE_PX)
    target_height: int = param(0, "Height after the second pass in pixels; 0: by scale.", ge=0, le=MAX_SIDE_PX)
    steps: int = param(0, "Steps of the second pass; 0: as many as the first.", ge=0, le=1000)
    strength: float = param(0.7, "How much the second pass may change.", ge=0.01, le=1)
    tile_size: int = param(128, "Tile of the upscaling model in pixels.", ge=32, le=2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outpaint:
    """Painting beyond the borders of ``init_image``: the picture is set into a larger one, whose rest is repainted.

    ``width`` and ``height`` are those of the finished picture; when they are not given, the picture's own plus the borders.
    """

    left: int = param(0, "Pixels to add on the left.", ge=0, le=MAX_SIDE_PX)
    top: int = param(0, "Pixels to add at the top.", ge=0, le=MAX_SIDE_PX)
    right: int = param(0, "Pixels to add on the right.", ge=0, le=MAX_SIDE_PX)
    bottom: int = param(0, "Pixels to add at the bottom.", ge=0, le=MAX_SIDE_PX)
    feather: int = param(16, "Width in pixels of the old picture's edge that is repainted too.", ge=0, le=512)

    @property
    def is_asked(self) -> bool:
        """Whether any border is to be added."""
        return bool(self.left or self.top or self.right or self.bottom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inpaint:
    """How the part of ``init_image`` under ``mask_image`` is repainted.

    With ``only_masked`` that part alone is painted, with ``padding`` around it, in the size ``width`` × ``height``, and put back:
    the finished picture has the initial one's size, and its pixels where the mask is black.
    """

    only_masked: bool = param(False, "Paint the masked part alone, in the size asked for, and put it back.")
    padding: int = param(32, "Pixels around the masked part that are painted with it.", ge=0, le=MAX_SIDE_PX)
    fill: InpaintFill = param(InpaintFill.ORIGINAL, "What is under the mask at the beginning.")
    blur: int = param(0, "Blur of the mask's edge in pixels.", ge=0, le=256)
    keep: bool = param(False, "Put the initial picture's pixels back where the mask is black.")

    @property
    def is_asked(self) -> bool:
        """Whether anything beyond the library's own inpainting is to be done."""
        return self.only_masked or self.keep or bool(self.blur) or self.fill is not InpaintFill.ORIGINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Model files beside the main one; an empty name means: chosen by the architecture from the model folders."""

    vae_model: str = param("", "VAE to use instead of the model's own.", max_length=500, model_type="vae")
    taesd_model: str = param("", "Tiny autoencoder for fast decoding and previews.", max_length=500, model_type="taesd")
    clip_l_model: str = param("", "CLIP-L text encoder.", max_length=500, model_type="clip_l")
    clip_g_model: str = param("", "CLIP-G text encoder.", max_length=500, model_type="clip_g")
    t5xxl_model: str = param("", "T5-XXL text encoder.", max_length=500, model_type="t5xxl")
    llm_model: str = param("", "Language model used as text encoder.", max_length=500, model_type="llm")
    llm_vision_model: str = param("", "Vision part of the language model.", max_length=500, model_type="llm_vision")
    clip_vision_model: str = param(
        "", "CLIP vision encoder (Wan image-to-video).", max_length=500, model_type="clip_vision"
    )
    high_noise_model: str = param(
        "", "High-noise diffusion model (Wan 2.2).", max_length=500, model_type="diffusion_model"
    )
    control_net_model: str = param("", "ControlNet model.", max_length=500, model_type="controlnet")
    photo_maker_model: str = param("", "PhotoMaker model.", max_length=500, model_type="photomaker")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParameters(Components):
    """Everything ``generate_image`` can be asked for (``sd_img_gen_params_t``), plus what sdrest adds around it."""

    prompt: str = param("", "What the picture should show.", max_length=MAX_PROMPT_CHARACTERS)
    negative_prompt: str = param("", "What it should not show.", max_length=MAX_PROMPT_CHARACTERS)
    dynamic_prompts: bool = param(
        False,
        "Draw `{a|b}` and `__wildcards__` in both prompts by the seed; the job keeps the texts before and after.",
    )
    prompt_source: str = param(
        "", "What the prompt was drawn from; filled in by `dynamic_prompts`.", max_length=MAX_PROMPT_CHARACTERS
    )
    negative_prompt_source: str = param(
        "", "What the negative prompt was drawn from; filled in by `dynamic_prompts`.", max_length=MAX_PROMPT_CHARACTERS
    )
    model: str = param("", "Name, file name, relative path or id of a model; empty: the default model.", max_length=500)
    width: int = param(
        512, "Width in pixels; the architecture may need a multiple of 8, 16 or 64.", ge=MIN_SIDE_PX, le=MAX_SIDE_PX
    )
    height: int = param(
        512, "Height in pixels; the architecture may need a multiple of 8, 16 or 64.", ge=MIN_SIDE_PX, le=MAX_SIDE_PX
    )
    steps: int = param(20, "Sampling steps.", ge=1, le=1000)
    speed: Speed = param(
        Speed.EXACT,
        "exact computes every step; balanced and fast guess some from those before, by the step cache that is for the architecture "
        "(`cache` goes before it).",
    )
    cfg_scale: float = param(7.0, "Classifier-free guidance; 1 turns the negative prompt off.", ge=0, le=100)
    img_cfg_scale: float | None = param(
        None, "Image guidance of instruction-edit models; empty: as cfg_scale.", ge=0, le=100
    )
    guidance: float = param(3.5, "Distilled guidance of Flux-like models.", ge=0, le=100)
    sampler: Sampler = param(Sampler.EULER, "Sampling method.")
    scheduler: Scheduler = param(Scheduler.DISCRETE, "Noise schedule.")
    seed: int = param(
        RANDOM_SEED, "Seed of the first picture, -1 for a random one; picture i has seed + i.", ge=-1, le=MAX_SEED
    )
    batch_count: int = param(1, "Number of pictures.", ge=1, le=64)
    clip_skip: int = param(1, "Layers left out at the end of CLIP; 1 is the model's own.", ge=1, le=24)
    strength: float = param(0.75, "How much of the initial picture may change.", ge=0, le=1)
    eta: float | None = param(None, "Noise added by ancestral samplers; empty: the sampler's own.", ge=0, le=100)
    flow_shift: float | None = param(None, "Shift of flow-matching schedules; empty: the model's own.", ge=0, le=100)
    shifted_timestep: int = param(0, "Timestep shift of NitroSD models.", ge=0, le=1000)
    custom_sigmas: tuple[float, ...] = param((), "The noise levels to use, instead of a scheduler.", max_length=1001)
    skip_layers: SkipLayerGuidance = param(SkipLayerGuidance, "Skip-layer guidance.")
    loras: tuple[Lora, ...] = param((), "LoRA models to apply.", max_length=64)
    lora_apply_mode: LoraApplyMode = param(LoraApplyMode.AUTO, "When LoRA weights are merged.")
    init_image: str = param("", "Picture to start from.", picture=True)
    mask_image: str = param("", "Where to repaint: white repaints, black keeps.", picture=True)
    outpaint: Outpaint = param(Outpaint, "Borders to add to the initial picture and to paint.")
    inpaint: Inpaint = param(Inpaint, "How the masked part is repainted.")
    control_image: str = param("", "Picture that guides a ControlNet.", picture=True)
    control_strength: float = param(0.9, "Weight of the ControlNet.", ge=0, le=10)
    canny: bool = param(False, "Turn control_image into an edge picture first.")
    ref_images: tuple[str, ...] = param((), "Reference pictures for editing models.", picture=True, max_length=16)
    auto_resize_ref_images: bool = param(True, "Let the library scale reference pictures to the output size.")
    increase_ref_index: bool = param(False, "Give each reference picture an index of its own.")
    pm_id_images: tuple[str, ...] = param((), "Photos of the person for PhotoMaker.", picture=True, max_length=16)
    pm_style_strength: float = param(20.0, "PhotoMaker style strength in percent.", ge=0, le=100)
    vae_tiling: Tiling = param(Tiling, "Tiled VAE.")
    circular_x: bool = param(False, "Make the picture tile horizontally.")
    circular_y: bool = param(False, "Make the picture tile vertically.")
    cache: Cache = param(Cache, "Step caching.")
    hires: Hires = param(Hires, "Second pass at a larger size.")
    upscale_model: str = param(
        "", "ESRGAN model to enlarge the finished picture with; empty: none.", max_length=500, model_type="esrgan"
    )
    upscale_factor: float = param(4.0, "Enlargement of the upscaling step.", ge=1, le=16)
    preview: PreviewMode = param(PreviewMode.NONE, "Previews while sampling.")
    output_format: PictureFormat = param(PictureFormat.PNG, "File format of the finished pictures.")
    output_quality: int = param(
        90, "Quality of WebP, AVIF and JPEG files in percent; 100 is lossless in WebP. PNG always is.", ge=1, le=100
    )
    embed_metadata: bool = param(True, "Write the parameters into the picture file.")

    @property
    def sampled_size(self) -> tuple[int, int]:
        """Width and height of what comes out of the sampler, second pass included, in pixels."""
        if not self.hires.enabled:
            return self.width, self.height
        return (
            self.hires.target_width or round(self.width * self.hires.scale),
            self.hires.target_height or round(self.height * self.hires.scale),
        )

    @property
    def final_size(self) -> tuple[int, int]:
        """Width and height of the finished picture in pixels, unless it is put back into another one."""
        width, height = self.sampled_size
        factor = self.upscale_factor if self.upscale_model else 1
        return round(width * factor), round(height * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleParameters:
    """Enlarging a picture with an ESRGAN model (``upscale``)."""

    image: str = param("", "Picture to enlarge.", picture=True)
    upscale_model: str = param(
        "", "ESRGAN model; empty: the only or the default one.", max_length=500, model_type="esrgan"
    )
    upscale_factor: float = param(4.0, "Enlargement; reached by repeating the model and scaling down.", ge=1, le=16)
    tile_size: int = param(128, "Tile in pixels; smaller tiles need less memory.", ge=32, le=2048)
    output_format: PictureFormat = param(PictureFormat.PNG, "File format of the finished pictures.")
    output_quality: int = param(
        90, "Quality of WebP, AVIF and JPEG files in percent; 100 is lossless in WebP. PNG always is.", ge=1, le=100
    )
    embed_metadata: bool = param(True, "Write the parameters into the picture file.")


class VideoFormat(StrEnum):
    """Container of a finished video."""

    WEBM = "webm"
    MP4 = "mp4"
    WEBP = "webp"
    GIF = "gif"
    FRAMES = "frames"


@dataclass(frozen=True, slots=True, kw_only=True)
class HighNoise:
    """Sampling of the high-noise model of a two-model video architecture (``high_noise_sample_params``)."""

    steps: int = param(-1, "Steps; -1: decided by moe_boundary.", ge=-1, le=1000)
    cfg_scale: float = param(7.0, "Classifier-free guidance.", ge=0, le=100)
    guidance: float = param(3.5, "Distilled guidance.", ge=0, le=100)
    sampler: Sampler = param(Sampler.EULER, "Sampling method.")
    scheduler: Scheduler = param(Scheduler.DISCRETE, "Noise schedule.")
    eta: float | None = param(None, "Noise added by ancestral samplers.", ge=0, le=100)
    flow_shift: float | None = param(None, "Shift of the flow-matching schedule.", ge=0, le=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoParameters(GenerationParameters):
    """Everything ``generate_video`` can be asked for (``sd_vid_gen_params_t``)."""

    video_frames: int = param(33, "Number of frames; rounded to 4n+1 by the architecture.", ge=1, le=1025)
    fps: int = param(16, "Frames a second of the file.", ge=1, le=120)
    video_format: VideoFormat = param(VideoFormat.WEBM, "Container of the file.")
    end_image: str = param("", "Last frame.", picture=True)
    control_frames: tuple[str, ...] = param((), "VACE control frames.", picture=True, max_length=1025)
    high_noise: HighNoise = param(HighNoise, "Sampling of the high-noise model.")
    moe_boundary: float = param(0.875, "Noise level at which the high-noise model hands over.", ge=0, le=1)
    vace_strength: float = param(1.0, "Weight of the VACE control.", ge=0, le=10)


def to_json(parameters: object) -> dict[str, Any]:
    """A parameter dataclass as JSON-serialisable values."""
    values: dict[str, Any] = msgspec.to_builtins(parameters)
    return values
