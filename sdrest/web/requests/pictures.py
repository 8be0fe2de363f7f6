"""Pictures in requests: base64 text, ``data:`` URLs, http(s) URLs, ``job:<id>/<file>`` references to earlier outputs, and files.

``job:<id>/<number>`` is the file of that number, counted from 0; ``job:<id>/input/<file>`` is a picture that an earlier job was
given.

All pictures of a request are read together: first their headers, so that a picture or a result that is too large is refused before
any memory is spent on it, then the pixels, as soon as the server has room for them (:mod:`sdrest.web.http.room`). All of it on
threads.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from PIL import Image

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput, NotFound
from sdrest.core.files import existing
from sdrest.core.job import number_of, numbered
from sdrest.jobs.submission import mark_source
from sdrest.net.fetching import Fetcher
from sdrest.outputs.pictures import decode_picture, picture_size
from sdrest.web.http.keys import HELD, JOBS, PRINCIPAL, SETTINGS

FETCHER: Final = web.AppKey("fetcher", Fetcher)

#: Width and height in pixels.
Size = tuple[int, int]
#: A picture as a client sent it: one of the texts above, or the bytes of a file.
Sent = str | bytes

#: Begins the file's name in a reference to a picture that a job was given.
INPUT_PREFIX: Final = "input/"

_DATA_URL: Final = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)
_URLS: Final = ("http://", "https://")
_SPACE: Final = " \t\r\n\f\v"
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
#: What is decoded in one go. Each piece holds Python's lock, and the event loop wants it between two of them.
_PIECE: Final = 2**20


def decode_base64(text: str, *, field: str) -> bytes:
    """The bytes of a base64 text or a base64 ``data:`` URL; white space and URL-safe letters are accepted.

    Raises:
        InvalidInput: it is neither.
    """
    match = _DATA_URL.match(text)
    payload = text.rstrip("=" + _SPACE)
    data, rest = bytearray(), b""
    try:
        for start in range(match.end() if match else 0, len(payload), _PIECE):
            letters = rest + payload[start : start + _PIECE].encode("ascii").translate(_URL_SAFE, _SPACE.encode())
            whole = len(letters) - len(letters) % 4
            rest = letters[whole:]
            if b"=" in letters:
                raise ValueError("padding before the end")
            data += base64.b64decode(letters[:whole], validate=True)
        data += base64.b64decode(rest + b"=" * (-len(rest) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            "neither base64 nor a data: URL nor an http(s) URL nor job:<id>/<file>", field=field
        ) from None
    if not data:
        raise InvalidInput("the picture is empty", field=field)
    return bytes(data)


@dataclass(slots=True)
class _Opened:
    """A picture whose header has been read."""

    name: str
    data: bytes
    size: Size
    #: The output that it is: ``<job id>/<number>``; empty for others.
    source: str = ""


async def read_pictures(
    request: web.Request,
    sent: Mapping[str, Sequence[Sent]],
    *,
    made: Callable[[Mapping[str, Sequence[Size]]], int] = lambda _sizes: 0,
) -> dict[str, list[Image.Image]]:
    """All pictures of a request, by field. Call it once in a request.

    Args:
        request: Who sends them.
        sent: What was sent, by field.
        made: Given the pictures' sizes by field, how many pixels will be made of them before a job takes them over (by resizing,
            for instance); the place to refuse sizes that are not allowed.

    Raises:
        InvalidInput: with one problem for each picture that cannot be used; or there are too many, or of too many pixels.
    """
    number = sum(map(len, sent.values()))
    fetched = [item for items in sent.values() for item in items if isinstance(item, str) and item.startswith(_URLS)]
    for count, most, what in (
        (number, bounds.PICTURES, "pictures"),
        (len(fetched), bounds.FETCHED_PICTURES, "URLs of pictures"),
    ):
        if count > most:
            raise InvalidInput(f"{count} {what} are more than the {most} of a request", field=next(iter(sent)))
    opened: dict[str, list[_Opened]] = {}
    problems: list[FieldProblem] = []
    for field, items in sent.items():
        opened[field] = []
        for index, item in enumerate(items):
            name = field if len(items) == 1 else f"{field}.{index}"
            try:
                opened[field].append(await _open(request, item, name))
            except InvalidInput as error:
                problems.extend(error.problems)
    if problems:
        raise InvalidInput(problems)
    sizes = {field: [item.size for item in items] for field, items in opened.items()}
    pixels = sum(width * height for items in sizes.values() for width, height in items) + made(sizes)
    held = request[HELD]
    if pixels > held.most_pixels:
        raise InvalidInput(
            f"{pixels} pixels in all are more than the {held.most_pixels} of a request", field=next(iter(sent), "body")
        )
    if not number:
        return {field: [] for field in sent}
    await held.take_pixels(pixels)
    pictures = await asyncio.to_thread(_decoded, opened, request.app[SETTINGS].max_image_pixels)
    held.keep([picture for items in pictures.values() for picture in items])
    return pictures


async def read_picture(
    request: web.Request, sent: Sent, *, field: str, made: Callable[[Size], int] = lambda _size: 0
) -> Image.Image:
    """The one picture of a request; see :func:`read_pictures`.

    Raises:
        InvalidInput: it cannot be used.
    """
    pictures = await read_pictures(request, {field: [sent]}, made=lambda sizes: made(sizes[field][0]))
    return pictures[field][0]


async def read_picture_file(request: web.Request, sent: Sent, *, field: str) -> bytes:
    """The bytes of the one picture of a request, for what is written in them; no pixel is decoded.

    Raises:
        InvalidInput: it cannot be used.
    """
    return (await _open(request, sent, field)).data


async def _open(request: web.Request, sent: Sent, name: str) -> _Opened:
    source = ""
    if isinstance(sent, str) and sent.startswith(_URLS):
        sent = (await request.app[FETCHER].fetch(sent, field=name)).data
        request[HELD].take_bytes(len(sent))
    elif isinstance(sent, str) and sent.startswith("job:"):
        sent, source = await _job_output(request, sent.removeprefix("job:"), name)
        request[HELD].take_bytes(len(sent))
    max_pixels = request.app[SETTINGS].max_image_pixels

    def work() -> _Opened:
        data = decode_base64(sent, field=name) if isinstance(sent, str) else sent
        return _Opened(name, data, picture_size(data, field=name, max_pixels=max_pixels), source)

    return await asyncio.to_thread(work)


def _decoded(opened: Mapping[str, Sequence[_Opened]], max_pixels: int) -> dict[str, list[Image.Image]]:
    found: dict[str, list[Image.Image]] = {}
    problems: list[FieldProblem] = []
    for field, items in opened.items():
        found[field] = []
        for item in items:
            try:
                picture = decode_picture(item.data, field=item.name, max_pixels=max_pixels)
            except InvalidInput as error:
                problems.extend(error.problems)
                continue
            if item.source:
                mark_source(picture, item.source)
            found[field].append(picture)
    if problems:
        raise InvalidInput(problems)
    return found


async def _job_output(request: web.Request, reference: str, field: str) -> tuple[bytes, str]:
    """A picture that is referred to, and the output that it is: of what a job was given, the one that this was."""
    job_id, _, file = reference.partition("/")
    try:
        job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
        if file.startswith(INPUT_PREFIX):
            name = file.removeprefix(INPUT_PREFIX)
            return await request.app[JOBS].read_input(job_id, name, request[PRINCIPAL]), job.sources.get(name, "")
        if file.isdecimal() and (output := numbered(job.outputs, int(file))) is not None:
            file = output.file
        if file not in {output.file for output in job.outputs}:
            raise NotFound(f"job {job_id} has no output {file!r}")
        path = await asyncio.to_thread(existing, request.app[SETTINGS].output_dir, job_id, file)
        return await asyncio.to_thread(path.read_bytes), f"{job_id}/{number_of(file)}"
    except (NotFound, OSError) as error:
        raise InvalidInput(f"job:{reference}: {error}", field=field) from None
