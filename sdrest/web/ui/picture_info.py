"""The page that shows what programs have written into a picture file."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.errors import InvalidInput
from sdrest.outputs.written.reading import Written, read_written
from sdrest.web.http.bodies import read_file, read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import SETTINGS
from sdrest.web.requests.pictures import read_picture_file
from sdrest.web.ui.languages import _
from sdrest.web.ui.rendering import page
from sdrest.web.ui.workbench_contexts import PictureInfoPage

HERE: Final = "/ui/png-info"
#: Servers before this one may take no longer addresses.
_MOST_IN_ADDRESS: Final = 6000
#: Longest text that is shown whole.
_SHOWN: Final = 20_000


async def show(request: web.Request) -> web.Response:
    """The form for a picture file."""
    return page(request, "picture_info.html", PictureInfoPage())


async def read(request: web.Request) -> web.Response:
    """What is written in the posted file."""
    part = (await read_parts(request)).get("picture")
    name = part.filename if isinstance(part, web.FileField) else ""
    try:
        data = await read_file(request, part) if isinstance(part, web.FileField) else b""
        if not data:
            raise InvalidInput(_("choose a picture file"), field="picture")
        await read_picture_file(request, data, field="picture")
    except InvalidInput as error:
        context = PictureInfoPage(problem=error.problems[0].message)
        return page(request, "picture_info.html", context, status=status_of(error))
    most = request.app[SETTINGS].max_image_pixels
    found = await asyncio.to_thread(lambda: read_written(data, max_pixels=most))
    return page(request, "picture_info.html", _context(name, found))


def _context(name: str, found: Written) -> PictureInfoPage:
    use = f"/ui/generate/txt2img?{urlencode({'infotext': found.infotext})}" if found.parts else ""
    words = {"prompt", "negative_prompt"}
    return PictureInfoPage(
        file=name or _("the picture"),
        program=found.program,
        digital_source=found.digital_source,
        prompt=str(found.parts.get("prompt", "")),
        negative_prompt=str(found.parts.get("negative_prompt", "")),
        settings=[(key, str(value)) for key, value in found.parts.items() if key not in words],
        texts=[(key, text[:_SHOWN]) for key, text in found.texts.items()],
        use=use if len(use) <= _MOST_IN_ADDRESS else "",
    )
