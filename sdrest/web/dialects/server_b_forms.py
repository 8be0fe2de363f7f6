"""The three forms of the form API, field by field, and the parameters that they mean. An empty field counts as not sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from PIL import Image
from pydantic import Field, model_validator

from sdrest.core.job import JobType
from sdrest.core.names import PictureFormat
from sdrest.web.http.loose import Loose, Number, Prose, Whole

#: What the forms call parameters, where that is another name.
NAMES: Final = {"cfg_scale": "guidanceScale", "init_image": "image", "mask_image": "mask"}
_MOST_TIMES: Final = 64
_SIZE_STEP_PX: Final = 32

_Times = Annotated[Whole, Field(ge=1, le=_MOST_TIMES)]


class Form(Loose):
    """What all three have in common; other fields are ignored."""

    prompt: Prose = Field("", description="What the picture should show; required but for /inpaint-image.")
    seed: Whole = Field(42, description="Seed of the first picture.")
    iterations: _Times = Field(1, description="Times the batch is made.")
    batchSize: _Times = Field(1, description="Pictures in a batch.")  # noqa: N815 - the form's name
    eta: Number | None = Field(None, description="Noise added by ancestral samplers.")
    channels: Literal["4"] = Field("4", description="Only 4 has a meaning here.")
    downsamplingFactor: Literal["8"] = Field("8", description="Only 8 has a meaning here.")  # noqa: N815

    @model_validator(mode="before")
    @classmethod
    def _sent(cls, fields: Any) -> Any:
        return {name: text for name, text in fields.items() if text != ""} if isinstance(fields, Mapping) else fields


class TextForm(Form):
    """The form of /text-to-image."""

    steps: Whole = Field(8, description="Sampling steps.")
    guidanceScale: Number = Field(7.5, description="Classifier-free guidance.")  # noqa: N815
    width: Whole = Field(512, description="Width in pixels.")
    height: Whole = Field(512, description="Height in pixels.")


class ImageForm(Form):
    """The form of /image-to-image, whose picture has the size."""

    steps: Whole = Field(24, description="Sampling steps.")
    guidanceScale: Number = Field(7.5, description="Classifier-free guidance.")  # noqa: N815
    strength: Number = Field(0.75, description="How much of the picture may change.")


class InpaintForm(Form):
    """The form of /inpaint-image, whose picture has the size."""

    steps: Whole = Field(32, description="Sampling steps.")
    guidanceScale: Number | None = Field(None, description="Classifier-free guidance; the model's own.")  # noqa: N815
    strength: Number | None = Field(None, description="How much of the masked part may change.")


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the three endpoints; ``pictures`` are the parameters that its form brings."""

    path: str
    job_type: JobType
    form: type[Form]
    pictures: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The fields of the form that hold pictures."""
        return tuple(NAMES[name] for name in self.pictures)


KINDS: Final = (
    Kind("/text-to-image", JobType.TXT2IMG, TextForm),
    Kind("/image-to-image", JobType.IMG2IMG, ImageForm, ("init_image",)),
    Kind("/inpaint-image", JobType.INPAINT, InpaintForm, ("init_image", "mask_image")),
)


def parameter_values(form: Form, source: Image.Image | None = None) -> dict[str, Any]:
    """The parameters that a form means, under the form's names; the size is that of the picture to start from."""
    values = form.model_dump(exclude={"iterations", "batchSize", "channels", "downsamplingFactor"}, exclude_none=True)
    if source is not None:
        values["width"] = max(_SIZE_STEP_PX, source.width - source.width % _SIZE_STEP_PX)
        values["height"] = max(_SIZE_STEP_PX, source.height - source.height % _SIZE_STEP_PX)
    # Its paths and its clients know PNG only.
    return {**values, "batch_count": form.iterations * form.batchSize, "output_format": str(PictureFormat.PNG)}
