"""What clients of stable-diffusion.cpp's own server send, field by field.

How loosely is said in :mod:`sdrest.web.http.loose`; within which bounds, by the parameter that a field sets.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sdrest.web.dialects.sdcpp.capabilities import IMAGE_FORMATS, VIDEO_FORMATS
from sdrest.web.http.loose import Loose, Number, Prose, Text, Texts, Whole


def _format(default: str) -> BeforeValidator:
    return BeforeValidator(
        lambda value: (value.strip().lower() or default) if isinstance(value, str) else value,
        json_schema_input_type=str,
    )


class SkippedLayers(Loose):
    """Skip layer guidance."""

    layers: list[Whole] | None = None
    layer_start: Number | None = None
    layer_end: Number | None = None
    scale: Number | None = None


class Guidance(Loose):
    """How strongly the prompt guides."""

    txt_cfg: Number | None = None
    img_cfg: Number | None = None
    distilled_guidance: Number | None = None
    slg: SkippedLayers | None = None


class Sampling(Loose):
    """How a picture is sampled."""

    sample_method: Text = ""
    scheduler: Text = ""
    sample_steps: Whole | None = None
    eta: Number | None = None
    shifted_timestep: Whole | None = None
    flow_shift: Number | None = None
    custom_sigmas: list[Number] | None = None
    guidance: Guidance | None = None


class Hires(Loose):
    """The second, larger pass."""

    enabled: bool = False
    upscaler: Text = ""
    scale: Number | None = None
    target_width: Whole | None = None
    target_height: Whole | None = None
    steps: Whole | None = None
    denoising_strength: Number | None = None
    upscale_tile_size: Whole | None = None


class Making(Loose):
    """What pictures and videos have in common."""

    prompt: Prose = ""
    negative_prompt: Prose = ""
    model: Text = Field("", description="Any name of a model; empty: the default one.")
    clip_skip: Whole | None = None
    width: Whole | None = None
    height: Whole | None = None
    strength: Number | None = None
    seed: Whole | None = Field(None, description="Below 0: random.")
    sample_params: Sampling | None = None
    lora: list[Any] | dict[str, Any] | None = Field(None, description="A list of {path, multiplier, is_high_noise}.")
    vae_tiling_params: dict[str, Any] | None = None
    cache_mode: Text = ""
    cache_option: Text = ""
    scm_mask: Text = ""
    scm_policy_dynamic: bool | None = None
    preview: Text | None = None
    embed_image_metadata: bool | None = None
    init_image: Text = Field("", description="A picture; also the first one of a video.")
    output_compression: Annotated[Whole, Field(ge=0, le=100)] = Field(100, description="Quality of jpeg and webp.")


class ImageBody(Making):
    """The body of ``img_gen``."""

    batch_count: Whole | None = None
    control_strength: Number | None = None
    increase_ref_index: bool | None = None
    auto_resize_ref_image: bool | None = None
    hires: Hires | None = None
    upscale_model: Text | None = None
    upscale_factor: Number | None = None
    mask_image: Text = ""
    control_image: Text = ""
    ref_images: Texts = Field([], description="Pictures to follow.")
    output_format: Annotated[Literal["png", "jpeg", "webp"], _format(IMAGE_FORMATS[0])] = "png"


class VideoBody(Making):
    """The body of ``vid_gen``."""

    video_frames: Whole | None = None
    fps: Whole | None = None
    moe_boundary: Number | None = None
    vace_strength: Number | None = None
    high_noise_sample_params: Sampling | None = None
    end_image: Text = Field("", description="The picture to end with.")
    control_frames: Texts = Field([], description="Pictures that guide the frames.")
    output_format: Annotated[Literal["webm", "webp", "mp4", "gif"], _format(VIDEO_FORMATS[0])] = "webm"
