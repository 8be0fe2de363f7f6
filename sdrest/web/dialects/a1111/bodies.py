"""What clients of the AUTOMATIC1111 API send, field by field, those of Forge included. How loosely is said in
:mod:`sdrest.web.http.loose`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field

from sdrest.core import bounds
from sdrest.core.names import PictureFormat
from sdrest.core.parameters import RANDOM_SEED
from sdrest.web.http.loose import Loose, Name, Number, Prose, Text, Texts, Whole, as_text


def _seed(value: object) -> object:
    return RANDOM_SEED if isinstance(value, str) and value.strip().lower() in {"", "random"} else value


def _several(value: object) -> object:
    """Arguments of a script: one alone may stand for a list of one."""
    return value if isinstance(value, list) else [value]


def _arguments(value: object) -> object:
    return value if isinstance(value, list) else []


_FORMATS: Final = {"jpg": PictureFormat.JPEG, **{str(item): item for item in PictureFormat}}

#: The name of a job that its client chose.
TaskId = Annotated[str, Field(max_length=bounds.TASK_ID), BeforeValidator(as_text, json_schema_input_type=str | float)]


class OptionValues(Loose):
    """The options that are heeded; others may be sent, and a request that does is told so."""

    model_config = ConfigDict(extra="allow")

    sd_model_checkpoint: Name = Field("", description="Title, name, file name or hash of a model.")
    sd_vae: Name = Field("", description="Name of a VAE; Automatic: the model's own.")
    CLIP_stop_at_last_layers: Whole | None = Field(None, description="Clip skip; 1 is the model's own.")
    samples_format: Text = Field("", description="png, jpg, webp or avif; empty: the server's own.")
    jpeg_quality: Whole | None = Field(None, description="Quality of jpg, webp and avif in percent.")
    eta_noise_seed_delta: Whole = 0
    token_merging_ratio: Number = 0.0
    forge_additional_modules: Annotated[Texts | None, Field(max_length=16)] = Field(
        None, description="Forge: files of a VAE and text encoders."
    )

    @property
    def picture_format(self) -> PictureFormat | None:
        """The file format that is asked for; None when none is, or one that is not written here."""
        name = self.samples_format.strip().lower().removeprefix(".")
        return _FORMATS.get(name)


class PictureWithMask(Loose):
    """A picture as some clients send it to ControlNet."""

    image: Text = ""
    mask: Text = ""


class ControlUnit(Loose):
    """One ControlNet unit."""

    enabled: bool = True
    image: Text | PictureWithMask = ""
    input_image: Text = ""
    mask: Text = ""
    module: Text = "none"
    model: Text = "None"
    weight: Number | None = None
    resize_mode: Text = Field(
        "Crop and Resize", description="Just Resize, Crop and Resize, Resize and Fill; or 0, 1, 2."
    )
    threshold_a: Number | None = None
    threshold_b: Number | None = None
    guidance_start: Number = 0.0
    guidance_end: Number = 1.0
    control_mode: Text = "Balanced"

    @property
    def picture(self) -> str:
        """The control picture as it was sent; empty when there is none."""
        return (self.image if isinstance(self.image, str) else self.image.image) or self.input_image


class Script(Loose):
    """The arguments of a script that works on every picture."""

    args: Annotated[list[Any], BeforeValidator(_several, json_schema_input_type=Any)] = Field([])


class Making(Loose):
    """What txt2img and img2img have in common."""

    prompt: Prose = ""
    negative_prompt: Prose = ""
    styles: Texts = Field([], description="Names of prompt templates.")
    seed: Annotated[Whole | None, BeforeValidator(_seed, json_schema_input_type=int | str | None)] = None
    subseed: Whole = RANDOM_SEED
    subseed_strength: Number = 0.0
    seed_resize_from_h: Whole = -1
    seed_resize_from_w: Whole = -1
    sampler_name: Text = ""
    sampler_index: Text = ""
    scheduler: Text = ""
    batch_size: Whole = 1
    n_iter: Whole = 1
    steps: Whole | None = None
    cfg_scale: Number | None = None
    distilled_cfg_scale: Number | None = Field(None, description="Forge: guidance of Flux-like models.")
    width: Whole | None = None
    height: Whole | None = None
    restore_faces: bool = False
    tiling: bool = False
    eta: Number | None = None
    denoising_strength: Number | None = None
    s_min_uncond: Number = 0.0
    s_churn: Number = 0.0
    s_tmin: Number = 0.0
    s_tmax: Number = 0.0
    s_noise: Number = 1.0
    override_settings: OptionValues = OptionValues()
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: Text = ""
    refiner_switch_at: Number | None = None
    disable_extra_networks: bool = False
    force_task_id: TaskId = ""
    script_name: Text = Field("", description="`X/Y/Z plot`, or `Prompts from file or textbox`.")
    script_args: Annotated[list[Any], BeforeValidator(_arguments, json_schema_input_type=Any)] = Field(
        [], description="Its arguments in A1111's order; axes by number (as in 1.10) or label."
    )
    send_images: bool = True
    include_init_images: bool = False
    alwayson_scripts: dict[str, Script] = Field({})
    infotext: Prose = Field("", description="Parameters as text; fields of the body go before them.")
    # Beyond that API:
    clip_skip: Whole | None = None
    model: Text = ""
    lora: list[Any] | dict[str, Any] | None = None
    loras: list[Any] | dict[str, Any] | None = None
    extra_images: Texts = Field([], description="Reference pictures for editing models.")


class Text2Image(Making):
    """The body of txt2img."""

    enable_hr: bool = False
    hr_scale: Number | None = None
    hr_upscaler: Text = ""
    hr_second_pass_steps: Whole | None = None
    hr_steps: Whole | None = None
    hr_resize_x: Whole | None = None
    hr_resize_y: Whole | None = None
    hr_checkpoint_name: Text = ""
    hr_sampler_name: Text = ""
    hr_scheduler: Text = ""
    hr_prompt: Prose = ""
    hr_negative_prompt: Prose = ""
    hr_cfg: Number | None = None
    hr_distilled_cfg: Number | None = None
    hr_additional_modules: Texts = Field([])
    firstphase_width: Whole = 0
    firstphase_height: Whole = 0


class Image2Image(Making):
    """The body of img2img."""

    init_images: Texts = Field([])
    mask: Text = ""
    latent_mask: Text = ""
    mask_blur: Whole | None = None
    mask_blur_x: Whole | None = None
    mask_blur_y: Whole | None = None
    inpainting_fill: Whole = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: Whole = 0
    inpainting_mask_invert: bool = False
    resize_mode: Whole = 0
    image_cfg_scale: Number | None = None
    initial_noise_multiplier: Number | None = None


class Enlarging(Loose):
    """What extra-single-image and extra-batch-images have in common."""

    resize_mode: Whole = 0
    upscaling_resize: Number = 2.0
    upscaling_resize_w: Whole = 512
    upscaling_resize_h: Whole = 512
    upscaling_crop: bool = True
    upscaler_1: Text = "None"
    upscaler_2: Text = "None"
    extras_upscaler_2_visibility: Number = 0.0
    gfpgan_visibility: Number = 0.0
    codeformer_visibility: Number = 0.0
    codeformer_weight: Number = 0.0


class OneEnlarged(Enlarging):
    """The body of extra-single-image."""

    image: Text = ""


class NamedPicture(Loose):
    """A picture of a list."""

    data: Text = ""
    name: Text = ""


class SeveralEnlarged(Enlarging):
    """The body of extra-batch-images."""

    imageList: list[NamedPicture] = Field(max_length=bounds.ENLARGED_PICTURES)  # noqa: N815


class WrittenPicture(Loose):
    """The body of png-info."""

    image: Text = ""


class Task(Loose):
    """Which job is meant."""

    force_task_id: Text = ""
    task_id: Text = ""
    id_task: Text = ""
    live_preview: bool = True

    @property
    def name(self) -> str:
        """The name of the job; empty without one."""
        return self.force_task_id or self.task_id or self.id_task


class ProgressQuery(Task):
    """The query of ``progress``."""

    skip_current_image: bool = False
