"""Replies of the OpenAI image API: pictures, streams of partial pictures, errors."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import InvalidInput, ModelNotFound, SdrestError
from sdrest.core.events import Event, JobChanged, JobPreviewed
from sdrest.core.job import Job, JobState, Output
from sdrest.jobs.events import Subscription
from sdrest.outputs.pictures import reencoded
from sdrest.web.dialects.openai.bodies import ImageBody, PictureOptions
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.http.replies import big_reply, json_reply, json_text
from sdrest.web.requests.audience import in_audience
from sdrest.web.requests.results import absolute_url, ending_as_error, pictures_of, read_output

#: What a quality is where OpenAI knows three.
_RESOLVED_QUALITY: Final = {"auto": "medium", "standard": "medium", "hd": "high"}
#: OpenAI never sends an address for these, and their clients may not be able to follow one to a private network.
_BASE64_ONLY: Final = re.compile(r"(chatgpt|gpt)-image", re.IGNORECASE)
_PICTURES: Final = ("init_image", "mask_image", "control_image")
_BACKGROUND: Final = "opaque"
_NOT_TRANSPARENT: Final = "background: the models here paint opaque pictures, so it is not transparent"
#: ``code`` of errors whose name there is not the slug here.
_CODES: Final = {"unauthorized": "invalid_api_key", "queue_full": "rate_limit_exceeded"}
#: Statuses after which the same request may succeed later. The SDK would repeat others too, and make a failing picture thrice.
_WORTH_REPEATING: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Format:
    """How the client wants its pictures."""

    output_format: str = "png"
    compression: int = 100
    #: ``url``, ``b64_json``, or empty: both.
    response_format: str = ""
    quality: str = "medium"

    def encoded(self, data: bytes, size: tuple[int, int] | None = None) -> str:
        """Base64 of a picture file in this format, scaled to ``size`` when given; blocks."""
        if self.output_format != "png" or size is not None:
            data = reencoded(data, self.output_format, self.compression, size)
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
    items = await asyncio.gather(*(_item(request, job, output, form) for output in outputs))
    body = {
        "created": int(job.created_at.timestamp()),
        "data": items,
        "size": _size(job),
        "quality": form.quality,
        "output_format": form.output_format,
        "background": _BACKGROUND,
        "usage": usage(job),
        "job_id": job.id,
        "model": job.model_name,
        "warnings": list(job.warnings),
    }
    return await big_reply(body, headers={"X-Job-Id": job.id})


async def _item(request: web.Request, job: Job, output: Output, form: Format) -> dict[str, Any]:
    item: dict[str, Any] = {"seed": output.seed}
    if form.response_format != "url":
        item["b64_json"] = await asyncio.to_thread(_read_encoded, request, job, output, form)
    if form.response_format != "b64_json":
        item["url"] = absolute_url(request, job, output)
    return item


def _read_encoded(request: web.Request, job: Job, output: Output, form: Format) -> str:
    return form.encoded(read_output(request, job, output))


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


def _size(job: Job) -> str:
    outputs = pictures_of(job)
    width, height = job.parameters.get("width"), job.parameters.get("height")
    return f"{outputs[0].width}x{outputs[0].height}" if outputs else f"{width}x{height}"


async def stream_reply(
    request: web.Request, job: Job, form: Format, *, partial_images: int, kind: str, events: Subscription
) -> web.StreamResponse:
    """Server-Sent Events: up to ``partial_images`` previews, then each finished picture, or an error.

    Args:
        kind: ``image_generation`` or ``image_edit``, the first part of the events' names.
        events: The job's events, subscribed to before the job was submitted.
    """
    # Not aiohttp-sse: it answers GET only.
    stream = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Job-Id": job.id}
    )
    await stream.prepare(request)
    with contextlib.suppress(ConnectionResetError):  # the client went away
        async with in_audience(request, job):
            await _tell(request, stream, job, form, partial_images, kind, events)
            await stream.write_eof()
    return stream


async def _tell(
    request: web.Request,
    stream: web.StreamResponse,
    job: Job,
    form: Format,
    partial_images: int,
    kind: str,
    events: Subscription,
) -> None:
    """Send all events of a job, to its end."""
    job = await request.app[JOBS].get(job.id, request[PRINCIPAL])
    if not job.is_finished:
        job = await _forward(stream, job, form, partial_images, kind, events)
    if job.state is not JobState.COMPLETED:
        error = ending_as_error(job)
        await _send(stream, {"type": "error", **error_body(error, status_of(error))})
        return
    for output in pictures_of(job):
        data = await asyncio.to_thread(_read_encoded, request, job, output, form)
        made = _event(f"{kind}.completed", data, job, form)
        await _send(stream, {**made, "usage": usage(job), "seed": output.seed})


async def _send(stream: web.StreamResponse, event: dict[str, Any]) -> None:
    text = await asyncio.to_thread(json_text, event)
    await stream.write(f"event: {event['type']}\ndata: {text}\n\n".encode())


async def _forward(
    stream: web.StreamResponse, job: Job, form: Format, partial_images: int, kind: str, events: Subscription
) -> Job:
    """Send previews at even distances until the job has ended; the job as it ended."""
    steps, sent = int(job.parameters.get("steps", 1)), 0
    size = (int(job.parameters["width"]), int(job.parameters["height"]))
    async for event in events:
        match event:
            case JobChanged(job=changed) if changed.id == job.id and changed.is_finished:
                return changed
            case JobPreviewed(job_id=job.id, step=step, jpeg=jpeg) if sent < partial_images and step >= (
                sent + 1
            ) * steps / (partial_images + 1):
                data = await asyncio.to_thread(form.encoded, jpeg, size)
                partial = _event(f"{kind}.partial_image", data, job, form)
                await _send(stream, {**partial, "partial_image_index": sent})
                sent += 1
            case _:
                pass
    return job


def _event(name: str, data: str, job: Job, form: Format) -> dict[str, Any]:
    return {
        "type": name,
        "b64_json": data,
        "created_at": int(time.time()),
        "size": _size(job),
        "quality": form.quality,
        "background": _BACKGROUND,
        "output_format": form.output_format,
    }


def wants_event(event: Event) -> bool:
    """Whether a stream may need an event: all endings and previews, because the job's id is not known yet."""
    return isinstance(event, JobPreviewed) or (isinstance(event, JobChanged) and event.job.is_finished)


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
    headers: Mapping[str, str] = {} if status in _WORTH_REPEATING else {"x-should-retry": "false"}
    return json_reply(error_body(error, status), status=status, headers=headers)
