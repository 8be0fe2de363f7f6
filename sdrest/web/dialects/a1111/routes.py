"""The AUTOMATIC1111 API under ``/sdapi/v1``: making and enlarging pictures."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from PIL import Image

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput
from sdrest.core.events import JobPreviewed, OutputMade
from sdrest.core.job import Job, JobState
from sdrest.core.parameters import UpscaleParameters
from sdrest.outputs.infotext import parse_infotext
from sdrest.outputs.pictures import png_bytes
from sdrest.web.dialects.a1111 import replies
from sdrest.web.dialects.a1111.options import stored_options
from sdrest.web.dialects.a1111.owners import DIALECT, origin_of
from sdrest.web.dialects.a1111.request import ALLOWANCES, GENERATION, asked_by
from sdrest.web.http.bodies import LooseBody, read_object
from sdrest.web.http.keys import HELD, JOBS, PRINCIPAL, SETTINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import big_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.pictures import Size, read_picture
from sdrest.web.requests.results import (
    ending_as_error,
    pictures_of,
    read_output,
    wait_until_completed,
    wait_until_ended,
)
from sdrest.web.requests.submission import Mode, submitted

ERROR: Final = dict[str, Any]
SUBMIT_ERRORS: Final = (404, 409, 422, 507)
#: Upscalers that need no model.
RESAMPLING: Final = {
    "none": Image.Resampling.LANCZOS,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
_UPSCALING: Final = Mode.loose(
    DIALECT, UpscaleParameters, {"upscale_model": "upscaler_1", "upscale_factor": "upscaling_resize"}
)
_BY_FACTOR: Final = 0
_MAX_FACTOR: Final = 16
_MAX_SIDE_PX: Final = 16_384


@operation("A1111", reply=dict[str, Any], body=LooseBody, errors=SUBMIT_ERRORS, error_schema=ERROR)
async def txt2img(request: web.Request) -> web.Response:
    """Make pictures from a prompt, with the hires fix and ControlNet if asked."""
    return await _made(request, *await _submitted(request, from_picture=False))


@operation("A1111", reply=dict[str, Any], body=LooseBody, errors=SUBMIT_ERRORS, error_schema=ERROR)
async def img2img(request: web.Request) -> web.Response:
    """Make pictures from a picture, with a mask if given."""
    return await _made(request, *await _submitted(request, from_picture=True))


async def _submitted(request: web.Request, *, from_picture: bool) -> tuple[Job, Mapping[str, Any]]:
    """The job, and what the reply repeats of the request; the body and its pictures are let go with this."""
    body = await read_object(request)
    asked = await asked_by(request, body, await stored_options(request), from_picture=from_picture)
    job = await submitted(
        request, GENERATION, asked.values, pictures=asked.pictures, origin=asked.origin, warnings=asked.warnings
    )
    return job, replies.echo_of(body)


async def _made(request: web.Request, job: Job, echo: Mapping[str, Any]) -> web.Response:
    """The pictures. Of an interrupted job those that were finished, and the last preview of the one that was being made."""
    events = request.app[JOBS].broadcast.subscribe(
        lambda event: isinstance(event, JobPreviewed | OutputMade) and event.job_id == job.id
    )
    try:
        ended = await wait_until_ended(request, job)
    finally:
        request.app[JOBS].broadcast.unsubscribe(events)
    if ended.state is JobState.FAILED:
        raise ending_as_error(ended)
    last = [event async for event in events][-1:] if ended.state is JobState.CANCELLED else []
    unfinished = [event.jpeg for event in last if isinstance(event, JobPreviewed)]
    return await replies.images_reply(request, ended, echo, pictures_of(ended), unfinished)


@operation("A1111", reply=dict[str, Any], body=LooseBody, errors=SUBMIT_ERRORS, error_schema=ERROR)
async def extra_single_image(request: web.Request) -> web.Response:
    """Enlarge one picture."""
    body = await read_object(request)
    return await big_reply({"image": await _enlarged(request, body, "image", body.get("image")), "html_info": ""})


@operation("A1111", reply=dict[str, Any], body=LooseBody, errors=SUBMIT_ERRORS, error_schema=ERROR)
async def extra_batch_images(request: web.Request) -> web.Response:
    """Enlarge several pictures."""
    body = await read_object(request)
    items = body.get("imageList")
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise InvalidInput("must be a list of {data, name}", field="imageList")
    if len(items) > bounds.ENLARGED_PICTURES:
        raise InvalidInput(f"must have at most {bounds.ENLARGED_PICTURES} pictures", field="imageList")
    images = [
        await _enlarged(request, body, f"imageList.{index}", item.get("data")) for index, item in enumerate(items)
    ]
    return await big_reply({"images": images, "html_info": ""})


async def _enlarged(request: web.Request, body: Mapping[str, Any], field: str, sent: Any) -> str:
    """Base64 of the enlarged picture as PNG: by a model as a job, otherwise resampled at once."""
    upscaler = str(body.get("upscaler_1") or "None")
    method = RESAMPLING.get(upscaler.lower())

    def made(size: Size) -> int:
        width, height = _target(request, body, size)
        return width * height if method is not None else 0

    picture = await read_picture(request, str(sent or ""), field=field, made=made)
    width, height = _target(request, body, picture.size)
    if method is not None:
        text = await asyncio.to_thread(lambda: _base64(png_bytes(picture.resize((width, height), method))))
        request[HELD].done_with_pictures()
        return text
    factor = min(float(_MAX_FACTOR), max(1.0, width / picture.width, height / picture.height))
    values = {"upscale_model": upscaler, "upscale_factor": factor}
    pictures = {"image": [await asyncio.to_thread(picture.convert, "RGB")]}
    job = await submitted(request, _UPSCALING, values, pictures=pictures, origin=origin_of(request))
    job = await wait_until_completed(request, job)
    return await asyncio.to_thread(lambda: _base64(read_output(request, job, pictures_of(job)[0])))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _target(request: web.Request, body: Mapping[str, Any], size: Size) -> Size:
    """Width and height to reach, in pixels, of a picture of ``size``."""
    try:
        if int(body.get("resize_mode") or 0) == _BY_FACTOR:
            factor = float(body.get("upscaling_resize") or 2)
            target = round(size[0] * factor), round(size[1] * factor)
        else:
            target = int(body.get("upscaling_resize_w") or 512), int(body.get("upscaling_resize_h") or 512)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput("must be numbers", field="upscaling_resize") from None
    most = request.app[SETTINGS].max_image_pixels
    if not all(1 <= side <= _MAX_SIDE_PX for side in target) or target[0] * target[1] > most:
        raise InvalidInput(
            f"the result would be {target[0]} × {target[1]} pixels; at most {_MAX_SIDE_PX} a side and {most} in all",
            field="upscaling_resize",
        )
    request.app[ALLOWANCES].of(request[PRINCIPAL]).check_size(*target, field="upscaling_resize")
    return target


@operation("A1111", reply=dict[str, Any], body=LooseBody, errors=(422,), error_schema=ERROR)
async def png_info(request: web.Request) -> web.Response:
    """The parameters written into a picture."""
    body = await read_object(request)
    picture = await read_picture(request, str(body.get("image") or ""), field="image")
    items = {str(key): value for key, value in picture.info.items() if isinstance(value, str)}
    text = items.get("parameters", "")
    parameters = await asyncio.to_thread(parse_infotext, text) if 0 < len(text) <= bounds.INFOTEXT else {}
    return await big_reply({"info": text, "items": items, "parameters": parameters})


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/sdapi/v1/txt2img", txt2img),
    ("POST", "/sdapi/v1/img2img", img2img),
    ("POST", "/sdapi/v1/extra-single-image", extra_single_image),
    ("POST", "/sdapi/v1/extra-batch-images", extra_batch_images),
    ("POST", "/sdapi/v1/png-info", png_info),
)
