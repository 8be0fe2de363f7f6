"""The fields of OpenAI's requests. Bodies are loose: what is null or empty counts as not sent, numbers may be texts (forms have
nothing else), words may be in capitals, and what is not named here is a generation parameter or passed over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from sdrest.core import bounds
from sdrest.web.http.bodies import LooseBody

_FILE_LIFE_SECONDS: Final = (3600, 30 * 24 * 3600)
_SIZE: Final = re.compile(r"(\d{1,5})\s*[xX×]\s*(\d{1,5})")


def whole_number(value: Any, least: int, most: int) -> int:
    """``value`` as a whole number within bounds; digits and floats without a fraction are understood.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    digits = value.strip() if isinstance(value, str) else str(value)
    is_number = isinstance(value, int | str) and not isinstance(value, bool) and digits.isascii() and digits.isdecimal()
    if not is_number or len(digits) > 9 or not least <= int(digits) <= most:
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(digits)


def _whole(least: int, most: int) -> BeforeValidator:
    return BeforeValidator(lambda value: whole_number(value, least, most))


def _size(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return None
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be auto or WIDTHxHEIGHT in pixels, for example 512x512")
    return int(match[1]), int(match[2])


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _format(value: Any) -> Any:
    return "jpeg" if _lower(value) == "jpg" else _lower(value)


Size = Annotated[
    tuple[int, int] | None,
    BeforeValidator(_size),
    WithJsonSchema({"type": ["string", "null"], "description": "auto, or WIDTHxHEIGHT in pixels."}),
]
Quality = Annotated[Literal["auto", "low", "medium", "high", "standard", "hd"], BeforeValidator(_lower)]
Background = Annotated[Literal["auto", "opaque", "transparent"], BeforeValidator(_lower)]
OutputFormat = Annotated[Literal["png", "jpeg", "webp"], BeforeValidator(_format)]


class SentBody(LooseBody):
    """A body in which a field that holds nothing counts as not sent."""

    @model_validator(mode="before")
    @classmethod
    def _sent(cls, values: Any) -> Any:
        """The fields that hold something."""
        if not isinstance(values, Mapping):
            return values
        return {name: value for name, value in values.items() if value is not None and value != ""}


class OpenAIBody(SentBody):
    """What all requests for pictures and videos may have."""

    prompt: str = Field("", description="What it should show.")
    model: str = Field("", description="Any name of a model; OpenAI's own names mean the default one.")
    size: Size = None


class PictureOptions(SentBody):
    """How a finished picture is handed over; the fields that the tool of the Responses API has as well."""

    quality: Quality = Field("auto", description="low, high: half, one and a half times the model's own steps.")
    background: Background = Field("auto", description="Models here paint opaque pictures.")
    output_format: OutputFormat = "png"
    output_compression: Annotated[int, _whole(0, 100)] = Field(100, description="Quality of jpeg and webp, in percent.")
    partial_images: Annotated[int, _whole(0, 3)] = Field(0, description="Previews in a stream, at most.")


class ImageBody(OpenAIBody, PictureOptions):
    """A request for pictures."""

    n: Annotated[int, _whole(1, bounds.OPENAI_PICTURES)] | None = Field(None, description="How many pictures.")
    response_format: Annotated[Literal["url", "b64_json"], BeforeValidator(_lower)] | None = None
    stream: bool = Field(False, description="Answer with events.")


class VideoBody(OpenAIBody):
    """A request for a video."""

    seconds: float | None = Field(
        None, gt=0, le=bounds.OPENAI_SECONDS, allow_inf_nan=False, description="Its length; sets the number of frames."
    )


class ImageTool(PictureOptions):
    """The tool ``image_generation`` of the Responses API. Generation parameters may stand beside its fields."""

    model: str = Field("", description="Goes before the response's model.")
    size: Size = None
    action: Annotated[Literal["auto", "generate", "edit"], BeforeValidator(_lower)] = Field(
        "auto", description="generate passes pictures over, edit needs one, auto edits where there is one."
    )
    input_image_mask: dict[str, Any] | None = Field(None, description="image_url or file_id of a mask.")


class FileForm(SentBody):
    """The form that brings a file."""

    model_config = ConfigDict(extra="ignore")

    purpose: Annotated[Literal["vision", "user_data", "assistants"], BeforeValidator(_lower)] = Field(
        description="Told again by the lists; all of them mean: to be named as an input picture."
    )
    anchor: Literal["created_at"] = Field("created_at", alias="expires_after[anchor]")
    expires_seconds: Annotated[int, _whole(*_FILE_LIFE_SECONDS)] = Field(
        0, alias="expires_after[seconds]", description="How long the file is kept; not sent: until it is deleted."
    )


class FileQuery(SentBody):
    """Which files to list."""

    model_config = ConfigDict(extra="ignore")

    purpose: str = Field("", description="Only those of this purpose.")
    limit: Annotated[int, _whole(1, 10_000)] = Field(10_000, description="How many at most.")
    order: Annotated[Literal["asc", "desc"], BeforeValidator(_lower)] = Field("desc", description="By time of upload.")
    after: str = Field("", description="Id of the file before the first one.")


class ResponseBody(SentBody):
    """A request for a response. It must ask for a picture: there is no text model here."""

    model: str = Field("", description="Any name of a model; OpenAI's own names mean the default one.")
    input: str | list[dict[str, Any]] = Field("", description="The conversation; the last message of the user counts.")
    tools: list[dict[str, Any]] = Field([], description="image_generation must be among them; others are passed over.")
    tool_choice: str | dict[str, Any] = "auto"
    previous_response_id: str = Field("", description="The response whose picture is to be changed.")
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=16
    )
    stream: bool = Field(False, description="Answer with events.")
    background: bool = Field(False, description="Answer at once; the response is to be asked for.")
    store: bool = Field(True, description="Keep the response; false: its job is deleted when it is answered.")
