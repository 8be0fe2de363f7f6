"""Finished files and their thumbnails."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.outputs.files import confined
from sdrest.outputs.pictures import THUMBNAIL_DEFAULT_PX, THUMBNAIL_MAX_PX, thumbnail_jpeg
from sdrest.web.keys import JOBS, PRINCIPAL, SETTINGS
from sdrest.web.routing import Route

#: The file of an ended job never changes.
_CACHE_CONTROL: Final = "private, max-age=31536000, immutable"


async def output(request: web.Request) -> web.StreamResponse:
    """A file of a job, or with ``?thumb=1&size=200`` a small JPEG of it."""
    job = await request.app[JOBS].get(request.match_info["job_id"], request[PRINCIPAL])
    file = request.match_info["filename"]
    known = {item.file: item for item in job.outputs}
    if file not in known:
        raise NotFound(f"job {job.id} has no output {file!r}")
    path = confined(request.app[SETTINGS].output_dir, job.id, file)
    if not await asyncio.to_thread(path.is_file):
        raise NotFound(f"the file {file!r} of job {job.id} has been removed")
    if request.query.get("thumb", "0").lower() in {"1", "true", "yes"}:
        data = await asyncio.to_thread(thumbnail_jpeg, path, _size(request))
        return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": _CACHE_CONTROL})
    return web.FileResponse(path, headers={"Cache-Control": _CACHE_CONTROL, "Content-Type": known[file].media_type})


def _size(request: web.Request) -> int:
    text = request.query.get("size", str(THUMBNAIL_DEFAULT_PX))
    if not text.isdecimal() or not 16 <= int(text) <= THUMBNAIL_MAX_PX:
        raise InvalidInput(f"must be a number of pixels from 16 to {THUMBNAIL_MAX_PX}", field="size")
    return int(text)


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/queue/job/{job_id}/output/{filename}", output),
    ("GET", "/jobs/{job_id}/output/{filename}", output),
)
