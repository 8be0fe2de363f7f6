"""Reading requests of the OpenAI image API: JSON or forms, pictures as files or data URLs, and both kinds of mask."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web
from PIL import Image, ImageChops

from sdrest.core.errors import InvalidInput
from sdrest.core.job import Job, JobState
from sdrest.jobs.store import JobFilter
from sdrest.web.http.bodies import parse_json, read_file, read_object, read_parts
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.requests.pictures import Sent, read_pictures

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


async def read_request(request: web.Request) -> Request:
    """The request, whatever its encoding.

    Raises:
        InvalidInput: the body is not what its content type says, or a picture cannot be used.
    """
    if request.content_type in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        fields, sent = await _read_form(request)
    else:
        fields = await read_object(request)
        sent = {name: list(_texts(fields.pop(name, None))) for name in _PICTURE_FIELDS}
    digest = await asyncio.to_thread(_digest, request.path, fields, sent)
    pictures: dict[str, list[Image.Image]] = {}
    for name, items in (await read_pictures(request, {name: items for name, items in sent.items() if items})).items():
        pictures.setdefault(_PICTURE_FIELDS[name], []).extend(items)
    return Request(fields, pictures, digest)


async def _read_form(request: web.Request) -> tuple[dict[str, Any], dict[str, list[Sent]]]:
    fields: dict[str, Any] = {}
    sent: dict[str, list[Sent]] = {}
    for part, value in (await read_parts(request)).items():
        name = part.removesuffix("[]")
        is_picture = name in _PICTURE_FIELDS
        if isinstance(value, web.FileField):
            if not is_picture:
                raise InvalidInput("this route takes no such file", field=name)
            sent.setdefault(name, []).append(await read_file(request, value))
        elif not is_picture:
            fields[name] = _form_value(str(value))
        elif value:
            sent.setdefault(name, []).append(str(value))
    return fields, sent


def _digest(path: str, fields: Mapping[str, Any], sent: Mapping[str, list[Sent]]) -> str:
    """The same for the same request sent again."""
    found = hashlib.sha256(path.encode())
    found.update(msgspec.json.encode(fields, order="sorted"))
    for name, items in sorted(sent.items()):
        for item in items:
            found.update(f"{name} {len(item)} ".encode())
            found.update(item.encode() if isinstance(item, str) else item)
    return found.hexdigest()


def _form_value(text: str) -> Any:
    """A form field; lists and objects (``loras``) are written as JSON there."""
    if text[:1] in {"[", "{"}:
        with contextlib.suppress(InvalidInput):
            return parse_json(text)
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
