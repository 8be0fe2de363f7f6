"""Pictures in requests: base64 text, ``data:`` URLs, http(s) URLs, and ``job:<id>/<file>`` references to earlier outputs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web
from PIL import Image

from sdrest.core.errors import FieldProblem, InvalidInput, NotFound
from sdrest.outputs.files import confined
from sdrest.outputs.pictures import decode_picture
from sdrest.web.keys import FETCHER, JOBS, PRINCIPAL, SETTINGS

_DATA_URL: Final = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)


def decode_base64(text: str, *, field: str) -> bytes:
    """The bytes of a base64 text or a base64 ``data:`` URL; white space and URL-safe letters are accepted.

    Raises:
        InvalidInput: it is neither.
    """
    match = _DATA_URL.match(text)
    payload = re.sub(r"\s+", "", text[match.end() :] if match else text).translate(str.maketrans("-_", "+/"))
    try:
        data = base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            "neither base64 nor a data: URL nor an http(s) URL nor job:<id>/<file>", field=field
        ) from None
    if not data:
        raise InvalidInput("the picture is empty", field=field)
    return data


async def read_pictures(request: web.Request, texts: Mapping[str, Sequence[str]]) -> dict[str, list[Image.Image]]:
    """All pictures of a request, decoded off the loop.

    Raises:
        InvalidInput: with one problem for each picture that cannot be used.
    """
    found: dict[str, list[Image.Image]] = {}
    problems: list[FieldProblem] = []
    for field, items in texts.items():
        found[field] = []
        for index, text in enumerate(items):
            name = field if len(items) == 1 else f"{field}.{index}"
            try:
                found[field].append(await read_picture(request, text, field=name))
            except InvalidInput as error:
                problems.extend(error.problems)
    if problems:
        raise InvalidInput(problems)
    return found


async def read_picture(request: web.Request, text: str, *, field: str) -> Image.Image:
    """One picture of a request.

    Raises:
        InvalidInput: it cannot be used.
    """
    max_pixels = request.app[SETTINGS].max_image_pixels
    if text.startswith(("job:", "http://", "https://")):
        if text.startswith("job:"):
            data = await _job_output(request, text.removeprefix("job:"), field)
        else:
            data = (await request.app[FETCHER].fetch(text, field=field)).data
        return await asyncio.to_thread(decode_picture, data, field=field, max_pixels=max_pixels)

    def decode() -> Image.Image:
        return decode_picture(decode_base64(text, field=field), field=field, max_pixels=max_pixels)

    return await asyncio.to_thread(decode)


async def _job_output(request: web.Request, reference: str, field: str) -> bytes:
    job_id, _, file = reference.partition("/")
    try:
        job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
        if file not in {output.file for output in job.outputs}:
            raise NotFound(f"job {job_id} has no output {file!r}")
        return await asyncio.to_thread(confined(request.app[SETTINGS].output_dir, job_id, file).read_bytes)
    except (NotFound, OSError) as error:
        raise InvalidInput(f"job:{reference}: {error}", field=field) from None
