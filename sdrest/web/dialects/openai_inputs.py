"""Reading requests of the OpenAI image API: JSON or forms, pictures as files or data URLs, and both kinds of mask."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web
from PIL import Image, ImageChops

from sdrest.core.errors import InvalidInput
from sdrest.core.job import Job, JobState
from sdrest.jobs.store import JobFilter
from sdrest.outputs.pictures import decode_picture
from sdrest.web.dialects.submit import read_json
from sdrest.web.keys import JOBS, PRINCIPAL, SETTINGS
from sdrest.web.multipart import read_parts
from sdrest.web.pictures import read_picture

#: The parts and fields that hold pictures, and what they are here.
_PICTURE_FIELDS: Final = {
    "image": "image",
    "images": "image",
    "image_url": "image",
    "image_urls": "image",
    "input_reference": "image",
    "mask": "mask",
}
#: How long after its submission a job is still taken for the same request sent again.
_RETRY_WINDOW: Final = timedelta(hours=1)
_RETRIES_LOOKED_AT: Final = 200


@dataclass(frozen=True, slots=True)
class Request:
    """A request's plain fields, its pictures by role (``image``, ``mask``), and a digest of both."""

    fields: Mapping[str, Any]
    pictures: Mapping[str, list[Image.Image]] = field(default_factory=dict)
    digest: str = ""

    @property
    def mask(self) -> Image.Image | None:
        """The first mask, white where the picture is to be repainted."""
        found = self.pictures.get("mask")
        return repaint_mask(found[0]) if found else None


async def read_request(request: web.Request) -> Request:
    """The request, whatever its encoding.

    Raises:
        InvalidInput: the body is not what its content type says, or a picture cannot be used.
    """
    digest = hashlib.sha256(request.path.encode())
    if request.content_type in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        return await _read_form(request, digest)
    body = await read_json(request)
    digest.update(json.dumps(body, sort_keys=True).encode())
    pictures: dict[str, list[Image.Image]] = {}
    for name, role in _PICTURE_FIELDS.items():
        for index, text in enumerate(_texts(body.pop(name, None))):
            pictures.setdefault(role, []).append(await read_picture(request, text, field=f"{name}.{index}"))
    return Request(body, pictures, digest.hexdigest())


async def _read_form(request: web.Request, digest: hashlib._Hash) -> Request:
    form = await read_parts(request)
    fields: dict[str, Any] = {}
    pictures: dict[str, list[Image.Image]] = {}
    max_pixels = request.app[SETTINGS].max_image_pixels
    for part, value in form.items():
        name = part.removesuffix("[]")
        role = _PICTURE_FIELDS.get(name)
        digest.update(name.encode())
        if isinstance(value, web.FileField):
            data = await asyncio.to_thread(value.file.read)
            digest.update(data)
            if role is None:
                raise InvalidInput("this route takes no such file", field=name)
            picture = await asyncio.to_thread(decode_picture, data, field=name, max_pixels=max_pixels)
            pictures.setdefault(role, []).append(picture)
            continue
        text = str(value)
        digest.update(text.encode())
        if role is None:
            fields[name] = _form_value(text)
        elif text:
            pictures.setdefault(role, []).append(await read_picture(request, text, field=name))
    return Request(fields, pictures, digest.hexdigest())


def _form_value(text: str) -> Any:
    """A form field; lists and objects (``loras``) are written as JSON there."""
    if text[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return None if text == "" else text


def _texts(value: Any) -> Iterator[str]:
    """The pictures' texts in a JSON value: one, a list, or objects with ``image_url``, ``url`` or ``b64_json``."""
    match value:
        case str() if value:
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case Mapping():
            for key in ("image_url", "url", "b64_json", "data"):
                if value.get(key):
                    yield from _texts(value[key])
                    return
        case _:
            return


def repaint_mask(mask: Image.Image) -> Image.Image:
    """A mask as one channel, white where the picture is to be repainted.

    OpenAI's masks are transparent there; other servers' are white. A mask with any transparent pixel is taken for the former.
    """
    inverse = transparency(mask)
    return mask.convert("L") if inverse is None else inverse


def transparency(picture: Image.Image) -> Image.Image | None:
    """How transparent each pixel is (255: fully); None when the picture is opaque all over."""
    if "A" not in picture.getbands():
        return None
    alpha = picture.getchannel("A")
    lowest, _ = alpha.getextrema()
    return ImageChops.invert(alpha) if lowest < 255 else None  # type: ignore[operator]  # one band gives two numbers


async def repeated(request: web.Request, digest: str) -> Job | None:
    """The job of the same request sent before, when this one is a repetition.

    The SDK repeats a request by itself after a time-out or a dropped connection, says so in a header, and sends no
    idempotency key; without this the same picture would be made again while the first one is still being made.
    """
    if request.headers.get("X-Stainless-Retry-Count", "0") in {"", "0"}:
        return None
    wanted = JobFilter(
        states=(JobState.PENDING, JobState.RUNNING, JobState.COMPLETED),
        principal=request[PRINCIPAL].name,
        created_after=datetime.now(UTC) - _RETRY_WINDOW,
        limit=_RETRIES_LOOKED_AT,
    )
    jobs = await request.app[JOBS].find(wanted, request[PRINCIPAL])
    return next((job for job in jobs if job.origin.get("request") == digest), None)
