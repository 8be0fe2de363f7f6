"""Enlarging pictures by the AUTOMATIC1111 API: by a model as a job, otherwise resampled at once."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web
from PIL import Image, ImageOps

from sdrest.core.errors import InvalidInput, Unsupported
from sdrest.core.model import UPSCALER_TYPES
from sdrest.core.names import PictureFormat
from sdrest.core.parameters import UpscaleParameters
from sdrest.outputs.encoding import Encoding, encoded
from sdrest.outputs.written.texts import xmp_of
from sdrest.web.dialects.a1111.bodies import Enlarging, OneEnlarged, SeveralEnlarged
from sdrest.web.dialects.a1111.names import upscaler_named
from sdrest.web.dialects.a1111.owners import DIALECT, origin_of
from sdrest.web.dialects.a1111.request import ALLOWANCES
from sdrest.web.http.bodies import read_body
from sdrest.web.http.keys import HELD, MODELS, PRINCIPAL, SETTINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import big_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.pictures import Size, read_picture
from sdrest.web.requests.results import pictures_of, read_output, wait_until_completed
from sdrest.web.requests.submission import Mode, submitted

_ERROR: Final = dict[str, Any]
_ERRORS: Final = (404, 409, 422, 507)
#: Upscalers that need no model.
RESAMPLING: Final = {
    "none": Image.Resampling.LANCZOS,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
_UPSCALING: Final = Mode.loose(
    DIALECT, UpscaleParameters, {"upscale_model": "upscaler_1", "upscale_factor": "upscaling_resize"}
)
_BY_FACTOR, _BY_SIZE = range(2)
_MAX_FACTOR: Final = 16
_MAX_SIDE_PX: Final = 16_384


@operation("A1111", reply=dict[str, Any], body=OneEnlarged, errors=_ERRORS, error_schema=_ERROR)
async def extra_single_image(request: web.Request) -> web.Response:
    """Enlarge one picture. The parameters written into it stay there; ``html_info`` tells what had no effect."""
    body = await read_body(OneEnlarged, request)
    told = _checked(body)
    return await big_reply({"image": await _enlarged(request, body, "image", body.image), "html_info": told})


@operation("A1111", reply=dict[str, Any], body=SeveralEnlarged, errors=_ERRORS, error_schema=_ERROR)
async def extra_batch_images(request: web.Request) -> web.Response:
    """Enlarge several pictures."""
    body = await read_body(SeveralEnlarged, request)
    told = _checked(body)
    images = [
        await _enlarged(request, body, f"imageList.{index}", item.data) for index, item in enumerate(body.imageList)
    ]
    return await big_reply({"images": images, "html_info": told})


def _checked(body: Enlarging) -> str:
    """Sentences on fields that have no effect.

    Raises:
        InvalidInput: there is no such ``resize_mode``.
        Unsupported: faces are to be restored.
    """
    if body.resize_mode not in {_BY_FACTOR, _BY_SIZE}:
        raise InvalidInput("must be 0 (by upscaling_resize) or 1 (to a size)", field="resize_mode")
    if body.gfpgan_visibility > 0 or body.codeformer_visibility > 0:
        raise Unsupported("there is no face restoration here (gfpgan_visibility, codeformer_visibility)")
    return "; ".join(_told(body))


def _told(body: Enlarging) -> Iterator[str]:
    if body.upscaler_2.lower() != "none" and body.extras_upscaler_2_visibility > 0:
        yield "upscaler_2 has no effect: one upscaler works on a picture"


async def _enlarged(request: web.Request, body: Enlarging, field: str, sent: str) -> str:
    """Base64 of the enlarged picture as PNG."""
    upscaler = upscaler_named(body.upscaler_1 or "None", request.app[MODELS].catalogue.of_type(UPSCALER_TYPES))
    method = RESAMPLING.get(upscaler.lower())

    def made(size: Size) -> int:
        width, height = _target(request, body, size)
        return width * height if method is not None else 0

    picture = await read_picture(request, sent, field=field, made=made)
    infotext = str(picture.info.get("parameters", ""))
    width, height = _target(request, body, picture.size)

    def finished(larger: Image.Image) -> str:
        if larger.size != (width, height):
            crops = body.resize_mode == _BY_SIZE and body.upscaling_crop
            fit = ImageOps.fit if crops else Image.Image.resize
            fitted = fit(larger, (width, height), method or Image.Resampling.LANCZOS)
            fitted.info = larger.info
            larger = fitted
        data = encoded(larger, Encoding(), _with_note(infotext, body), xmp_of(larger))
        return base64.b64encode(data).decode()

    if method is not None:
        text = await asyncio.to_thread(finished, picture)
        request[HELD].done_with_pictures()
        return text
    factor = min(float(_MAX_FACTOR), max(1.0, width / picture.width, height / picture.height))
    values = {"upscale_model": upscaler, "upscale_factor": factor, "output_format": str(PictureFormat.PNG)}
    pictures = {"image": [await asyncio.to_thread(picture.convert, "RGB")]}
    job = await submitted(request, _UPSCALING, values, pictures=pictures, origin=origin_of(request))
    job = await wait_until_completed(request, job)

    def read() -> str:
        with Image.open(io.BytesIO(read_output(request, job, pictures_of(job)[0]))) as larger:
            return finished(larger)

    return await asyncio.to_thread(read)


def _with_note(infotext: str, body: Enlarging) -> str:
    """The parameters of a picture, with what was done to it; nothing where none are there."""
    if not infotext:
        return ""
    how = (
        f"by: {body.upscaling_resize:g}"
        if body.resize_mode == _BY_FACTOR
        else f"to: {body.upscaling_resize_w}x{body.upscaling_resize_h}"
    )
    return f"{infotext.rstrip()}, Postprocess upscale {how}, Postprocess upscaler: {body.upscaler_1}"


def _target(request: web.Request, body: Enlarging, size: Size) -> Size:
    """Width and height to reach, in pixels, of a picture of ``size``."""
    if body.resize_mode == _BY_FACTOR:
        factor = body.upscaling_resize
        if not 0 < factor <= _MAX_SIDE_PX:
            raise InvalidInput("must be a number above 0", field="upscaling_resize")
        target = round(size[0] * factor), round(size[1] * factor)
    else:
        target = body.upscaling_resize_w, body.upscaling_resize_h
    most = request.app[SETTINGS].max_image_pixels
    if not all(1 <= side <= _MAX_SIDE_PX for side in target) or target[0] * target[1] > most:
        raise InvalidInput(
            f"the result would be {target[0]} × {target[1]} pixels; at most {_MAX_SIDE_PX} a side and {most} in all",
            field="upscaling_resize",
        )
    request.app[ALLOWANCES].of(request[PRINCIPAL]).check_size(*target, field="upscaling_resize")
    return target


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/sdapi/v1/extra-single-image", extra_single_image),
    ("POST", "/sdapi/v1/extra-batch-images", extra_batch_images),
)
