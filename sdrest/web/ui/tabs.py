"""The tabs of the Generate page: what each one makes, and which fields it shows in which groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from sdrest.core.architecture import Family
from sdrest.core.job import JobType
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters, limits_of
from sdrest.web.requests.parameter_bodies import body_model
from sdrest.web.requests.submission import Mode


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that are shown together, folded away until they are wanted."""

    title: str
    fields: tuple[str, ...]
    #: The picker of files without which the group is of no use; empty: it always is.
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """One tab of the Generate page."""

    slug: str
    title: str
    job_type: JobType
    #: What to do first; shown where the result will be.
    hint: str
    table: type[GenerationParameters | UpscaleParameters] = GenerationParameters
    #: Pictures to give, in order.
    pictures: tuple[str, ...] = ()
    #: Those without which there is nothing to do.
    required: frozenset[str] = frozenset()
    #: Fields of the tab itself, always visible.
    main: tuple[str, ...] = ()
    #: What the tab fills in where the table has another default, as form texts by dotted name.
    defaults: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    #: Architectures that can do this; empty: no restriction.
    families: frozenset[Family] = frozenset()
    has_prompt: bool = True
    has_loras: bool = True

    @property
    def asks(self) -> Mode:
        """The way in for what the tab asks for."""
        body = body_model(f"{self.table.__name__}Form", cast("type", self.table))
        return Mode(dialect="ui", table=self.table, body=body, job_type=self.job_type)

    @property
    def picture_names(self) -> tuple[str, ...]:
        """Every field of the tab that takes pictures."""
        pictures = {item.name for item in dataclasses.fields(self.table) if limits_of(item).picture}
        return tuple(name for name in self.field_names if name in pictures)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Every field that the tab shows."""
        prompts = (*_PROMPTS, *SIZES, *SAMPLING) if self.has_prompt else ()
        return (*prompts, *self.pictures, *self.main, *(name for group in self.groups for name in group.fields))


_PROMPTS: Final = ("prompt", "negative_prompt", "dynamic_prompts", "model")
SIZES: Final = ("width", "height")
SAMPLING: Final = ("steps", "cfg_scale", "sampler", "scheduler", "seed", "batch_count")

_GUIDANCE: Final = Group(
    "Guidance and sampling",
    (
        "guidance",
        "clip_skip",
        "eta",
        "flow_shift",
        "img_cfg_scale",
        "shifted_timestep",
        "custom_sigmas",
        "skip_layers.scale",
        "skip_layers.layers",
        "skip_layers.start",
        "skip_layers.end",
    ),
)
_COMPONENTS: Final = Group(
    "Model parts",
    (
        "vae_model",
        "taesd_model",
        "clip_l_model",
        "clip_g_model",
        "t5xxl_model",
        "llm_model",
        "llm_vision_model",
        "lora_apply_mode",
    ),
)
_HIRES: Final = Group(
    "Second pass and upscaling",
    (
        "hires.enabled",
        "hires.upscaler",
        "hires.scale",
        "hires.steps",
        "hires.strength",
        "hires.upscale_model",
        "upscale_model",
        "upscale_factor",
    ),
)
_MEMORY: Final = Group(
    "Memory and speed",
    (
        "speed",
        "vae_tiling.enabled",
        "vae_tiling.tile_size_x",
        "vae_tiling.tile_size_y",
        "vae_tiling.target_overlap",
        "cache.mode",
        "cache.reuse_threshold",
        "cache.start_percent",
        "cache.end_percent",
    ),
)
_OUTPUT: Final = Group(
    "Output", ("output_format", "output_quality", "preview", "embed_metadata", "circular_x", "circular_y")
)
_PHOTOMAKER: Final = Group(
    "PhotoMaker", ("photo_maker_model", "pm_id_images", "pm_style_strength"), needs="photo_maker_model"
)
_USUAL: Final = (_GUIDANCE, _COMPONENTS, _HIRES, _MEMORY, _OUTPUT)

_ALL: Final = (
    Tab(
        slug="txt2img",
        title="Text to image",
        job_type=JobType.TXT2IMG,
        hint="Describe a picture and press Generate.",
        required=frozenset({"prompt"}),
        groups=(*_USUAL, _PHOTOMAKER),
    ),
    Tab(
        slug="img2img",
        title="Image to image",
        job_type=JobType.IMG2IMG,
        hint="Give a picture to start from, say what it should become, and press Generate.",
        pictures=("init_image",),
        required=frozenset({"init_image"}),
        main=("strength",),
        groups=_USUAL,
    ),
    Tab(
        slug="inpaint",
        title="Inpaint",
        job_type=JobType.INPAINT,
        hint="Give a picture, paint over what should change (or add a border), and press Generate.",
        pictures=("init_image", "mask_image"),
        required=frozenset({"init_image", "mask_image"}),
        main=("strength", "inpaint.fill", "inpaint.blur", "inpaint.padding", "inpaint.only_masked", "inpaint.keep"),
        defaults={"inpaint.blur": "4", "inpaint.keep": "on"},
        groups=_USUAL,
    ),
    Tab(
        slug="controlnet",
        title="ControlNet",
        job_type=JobType.CONTROLNET,
        hint="Give a picture that holds the composition, and press Generate.",
        pictures=("control_image",),
        required=frozenset({"control_image"}),
        main=("control_net_model", "control_strength", "canny"),
        groups=_USUAL,
    ),
    Tab(
        slug="edit",
        title="Edit",
        job_type=JobType.TXT2IMG,
        hint="Give reference pictures to an editing model (Kontext, Qwen Image Edit, Flux.2), and say what to change.",
        pictures=("ref_images",),
        required=frozenset({"ref_images"}),
        main=("auto_resize_ref_images", "increase_ref_index"),
        groups=_USUAL,
    ),
    Tab(
        slug="upscale",
        title="Upscale",
        job_type=JobType.UPSCALE,
        table=UpscaleParameters,
        hint="Give a picture and press Upscale.",
        pictures=("image",),
        required=frozenset({"image"}),
        main=("upscale_model", "upscale_factor"),
        groups=(Group("Memory and output", ("tile_size", "output_format", "output_quality", "embed_metadata")),),
        has_prompt=False,
        has_loras=False,
    ),
    Tab(
        slug="video",
        title="Video",
        job_type=JobType.VIDEO,
        table=VideoParameters,
        hint="Describe a scene for a video model (Wan), with a first frame or without, and press Generate.",
        families=frozenset({Family.WAN, Family.SVD}),
        pictures=("init_image", "end_image"),
        main=("video_frames", "fps", "video_format"),
        groups=(
            Group("Control frames (VACE models)", ("control_frames", "vace_strength")),
            _GUIDANCE,
            _COMPONENTS,
            Group(
                "Two-model sampling",
                (
                    "high_noise_model",
                    "high_noise.steps",
                    "high_noise.cfg_scale",
                    "high_noise.sampler",
                    "moe_boundary",
                    "clip_vision_model",
                ),
            ),
            _MEMORY,
            _OUTPUT,
        ),
    ),
)

TABS: Final[Mapping[str, Tab]] = {tab.slug: tab for tab in _ALL}
