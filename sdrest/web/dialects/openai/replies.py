"""Replies of the OpenAI image API: pictures, streams of partial pictures, errors."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import InvalidInput, ModelNotFound, QuotaReached, SdrestError
from sdrest.core.events import JobPreviewed
from sdrest.core.job import Job, JobState, Output
from sdrest.core.names import PictureFormat
from sdrest.jobs.events import Subscription
from sdrest.outputs.encoding import Encoding
from sdrest.outputs.pictures import reencoded
from sdrest.web.dialects.openai.bodies import ImageBody, PictureOptions
from sdrest.web.dialects.openai.files import file_id
from sdrest.web.dialects.openai.streams import EventStream, followed, problem_of, streamed
from sdrest.web.http.errors import status_of
from sdrest.web.http.replies import big_reply, json_reply
from sdrest.web.requests.results import absolute_url, pictures_of, read_output

#: What a quality is where OpenAI knows three.
_RESOLVED_QUALITY: Final = {"auto": "medium", "standard": "medium", "hd": "high"}
#: OpenAI never sends an address for these, and their clients may not be able to follow one to a private network.
_BASE64_ONLY: Final = re.compile(r"(chatgpt|gpt)-image", re.IGNORECASE)
_PICTURES: Final = ("init_image", "mask_image", "control_image")
#: Of every picture that is made here.
BACKGROUND: Final = "opaque"
_NOT_TRANSPARENT: Final = "background: the models here paint opaque pictures, so it is not transparent"
#: ``code`` of errors whose name there is not the slug here.
_CODES: Final = {
    "unauthorized": "invalid_api_key",
    "queue_full": "rate_limit_exceeded",
    "quota_reached": "insufficient_quota",
}
#: Statuses after which the same request may succeed soon. The SDK would repeat others too, and make a failing picture thrice.
_WORTH_REPEATING: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Format:
    """How the client wants its pictures."""

    output_format: str = "png"
    compression: int = 100
    #: ``url``, ``b64_json``, or empty: both.
    response_format: str = ""
    quality: str = "medium"

    def encoded(self, data: bytes, media_type: str, size: tuple[int, int] | None = None) -> str:
        """Base64 of a picture file of this type in this format, scaled to ``size`` when given; blocks."""
        encoding = Encoding(PictureFormat(self.output_format), max(1, self.compression))
        if media_type != encoding.media_type or size is not None:
            data = reencoded(data, encoding, size)
        return base64.b64encode(data).decode()


def asked_format(options: PictureOptions, response_format: str = "") -> Format:
    """How the client wants its pictures.

    Raises:
        InvalidInput: a transparent background is asked for in a format that has none.
    """
    if options.background == "transparent" and options.output_format == "jpeg":
        raise InvalidInput("a jpeg file has no transparent background; choose png or webp", field="background")
    quality = _RESOLVED_QUALITY.get(options.quality, options.quality)
    return Format(options.output_format, options.output_compression, response_format, quality)


def response_format(body: ImageBody) -> str:
    """``url``, ``b64_json``, or empty for both: what is asked for, else what OpenAI sends for a model of that name."""
    return body.response_format or ("b64_json" if _BASE64_ONLY.match(body.model) else "")


def passed_over(options: PictureOptions) -> tuple[str, ...]:
    """What is asked for and cannot be had, as warnings."""
    return (_NOT_TRANSPARENT,) if options.background == "transparent" else ()


async def images_reply(request: web.Request, job: Job, form: Format) -> web.Response:
    """The reply with the pictures of a completed job."""
    outputs = pictures_of(job)
    items = await asyncio.gather(*(_item(request, job, number, form) for number in range(len(outputs))))
    body = {
        "created": int(job.created_at.timestamp()),
        "data": items,
        "size": size_text(job),
        "quality": form.quality,
        "output_format": form.output_format,
        "background": BACKGROUND,
        "usage": usage(job),
        "job_id": job.id,
        "model": job.model_name,
        "warnings": list(job.warnings),
    }
    return await big_reply(body, headers={"X-Job-Id": job.id})


async def _item(request: web.Request, job: Job, number: int, form: Format) -> dict[str, Any]:
    output = pictures_of(job)[number]
    item: dict[str, Any] = {"seed": output.seed, "file_id": file_id(job, number)}
    if form.response_format != "url":
        item["b64_json"] = await asyncio.to_thread(read_encoded, request, job, output, form)
    if form.response_format != "b64_json":
        item["url"] = absolute_url(request, job, output)
    return item


def read_encoded(request: web.Request, job: Job, output: Output, form: Format) -> str:
    """Base64 of a finished picture as the client wants it; blocks."""
    return form.encoded(read_output(request, job, output), output.media_type)


def usage(job: Job) -> dict[str, Any]:
    """Counts in place of OpenAI's tokens, which no local model bills: words and pictures come in, steps go out."""
    words = len(str(job.parameters.get("prompt", "")).split())
    pictures = sum(bool(job.parameters.get(name)) for name in _PICTURES) + len(job.parameters.get("ref_images") or ())
    steps = int(job.parameters.get("steps", 0)) * int(job.parameters.get("batch_count", 1))
    return {
        "input_tokens": words + pictures,
        "output_tokens": steps,
        "total_tokens": words + pictures + steps,
        "input_tokens_details": {"text_tokens": words, "image_tokens": pictures},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": steps},
    }


def size_of(job: Job) -> tuple[int, int]:
    """Width and height of its pictures in pixels."""
    outputs = pictures_of(job)
    return (outputs[0].width, outputs[0].height) if outputs else (job.parameters["width"], job.parameters["height"])


def size_text(job: Job) -> str:
    """Its size as this API writes it."""
    width, height = size_of(job)
    return f"{width}x{height}"


async def stream_reply(
    request: web.Request, job: Job, form: Format, *, partial_images: int, kind: str, events: Subscription
) -> web.StreamResponse:
    """Server-Sent Events: up to ``partial_images`` previews, then each finished picture, or an error.

    Args:
        kind: ``image_generation`` or ``image_edit``, the first part of the events' names.
        events: The job's events, subscribed to before the job was submitted.
    """

    async def tell(stream: EventStream) -> None:
        sent = 0
        async for news in followed(request, job, partial_images, events):
            if isinstance(news, JobPreviewed):
                data = await asyncio.to_thread(form.encoded, news.jpeg, "image/jpeg", size_of(job))
                await stream.send({**_event(f"{kind}.partial_image", data, job, form), "partial_image_index": sent})
                sent += 1
            elif news.state is JobState.COMPLETED:
                for output in pictures_of(news):
                    data = await asyncio.to_thread(read_encoded, request, news, output, form)
                    made = _event(f"{kind}.completed", data, news, form)
                    await stream.send({**made, "usage": usage(news), "seed": output.seed})
            else:
                error = problem_of(news)
                await stream.send({"type": "error", **error_body(error, status_of(error))})

    return await streamed(request, job, tell)


def _event(name: str, data: str, job: Job, form: Format) -> dict[str, Any]:
    return {
        "type": name,
        "b64_json": data,
        "created_at": int(time.time()),
        "size": size_text(job),
        "quality": form.quality,
        "background": BACKGROUND,
        "output_format": form.output_format,
    }


def error_body(error: SdrestError, status: int) -> dict[str, Any]:
    """``{"error": {message, type, param, code}}``."""
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(status)
    param = None
    if isinstance(error, InvalidInput) and error.problems:
        param = error.problems[0].field
    elif isinstance(error, ModelNotFound):
        param = "model"
    return {
        "error": {
            "message": error.message,
            "type": kind or ("invalid_request_error" if status < 500 else "server_error"),
            "param": None if param == "body" else param,
            "code": _CODES.get(error.slug, error.slug),
        }
    }


def render_error(_request: web.Request, error: SdrestError, status: int) -> web.Response:
    """An error as OpenAI writes it."""
    may_repeat = status in _WORTH_REPEATING and not isinstance(error, QuotaReached)
    headers: Mapping[str, str] = {} if may_repeat else {"x-should-retry": "false"}
    return json_reply(error_body(error, status), status=status, headers=headers)
