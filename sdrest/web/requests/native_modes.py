"""The native API's ways into the queue: what each of its routes takes, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import Field

from sdrest.core import bounds
from sdrest.core.job import JobType
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters
from sdrest.web.requests.parameter_bodies import body_model
from sdrest.web.requests.presets import PRESET_FIELD, SAVED_FIELDS
from sdrest.web.requests.submission import Mode

#: How the job is treated, beside what it makes.
JOB_FIELDS: Final = (
    (
        "idempotency_key",
        str,
        Field(
            "",
            max_length=bounds.IDEMPOTENCY_KEY,
            description="A repeated request with the same key gives the same job.",
        ),
    ),
    (
        "priority",
        int,
        Field(0, ge=-100, le=100, description="Higher goes first; above 0 needs the permission manage_queue."),
    ),
    (
        "webhook_url",
        str,
        Field("", max_length=bounds.WEBHOOK_URL, description="Where to report the job's ending (http or https)."),
    ),
    (
        "reuse",
        bool,
        Field(True, description="Whether the result of an earlier, equal request with this very seed may be given."),
    ),
)


def _mode(name: str, job_type: JobType, table: type, required: Iterable[str], names: Mapping[str, str]) -> Mode:
    """A mode whose body is called ``name``."""
    saved = (PRESET_FIELD,) if table is UpscaleParameters else SAVED_FIELDS
    body = body_model(
        name, table, rename=tuple(names.items()), required=frozenset(required), extra=(*saved, *JOB_FIELDS)
    )
    return Mode(dialect="native", table=table, body=body, names=names, job_type=job_type)


_SAMPLER: Final = {"sampler": "sampling_method"}

TEXT2IMG: Final = _mode("Text2Img", JobType.TXT2IMG, GenerationParameters, ("prompt",), _SAMPLER)
GENERATE: Final = _mode("Generate", JobType.TXT2IMG, GenerationParameters, ("prompt",), {"batch_count": "batch_size"})
IMG2IMG: Final = _mode("Img2Img", JobType.IMG2IMG, GenerationParameters, ("prompt", "init_image"), _SAMPLER)
INPAINTING: Final = _mode(
    "Inpainting",
    JobType.INPAINT,
    GenerationParameters,
    ("prompt", "init_image"),
    {**_SAMPLER, "init_image": "source_image"},
)
CONTROLNET: Final = _mode(
    "ControlNet",
    JobType.CONTROLNET,
    GenerationParameters,
    ("prompt", "control_image", "control_net_model"),
    _SAMPLER,
)
UPSCALE: Final = _mode("Upscale", JobType.UPSCALE, UpscaleParameters, ("image",), {"upscale_model": "esrgan_model"})
VIDEO: Final = _mode("Video", JobType.VIDEO, VideoParameters, ("prompt",), _SAMPLER)

#: By the last part of the route.
MODES: Final = {
    "text2img": TEXT2IMG,
    "img2img": IMG2IMG,
    "inpainting": INPAINTING,
    "controlnet": CONTROLNET,
    "upscale": UPSCALE,
    "video": VIDEO,
}
