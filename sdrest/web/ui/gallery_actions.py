"""What is done with chosen pictures of the Gallery: marks, albums, ZIP files, the bin and its page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.core.files import existing
from sdrest.core.job import Job
from sdrest.core.principal import Permission
from sdrest.jobs.bin import Bin
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.marks import FAVOURITE, FileId, Mark
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.keys import JOBS, PRINCIPAL, SETTINGS, THUMBNAILS
from sdrest.web.requests.gallery import BIN, GALLERY, file_ids, marks_named, send_zip
from sdrest.web.ui.gallery import GALLERY_PAGE
from sdrest.web.ui.job_contexts import BinnedTile, BinPage
from sdrest.web.ui.languages import _, ngettext
from sdrest.web.ui.queue import QUEUE_PAGE
from sdrest.web.ui.rendering import is_htmx, page, query_number, see

BIN_PAGE: Final = "/ui/gallery/bin"
_PAGE_LENGTH: Final = 60
_THUMB_PX: Final = 320


async def change(request: web.Request) -> web.StreamResponse:
    """Do with the chosen pictures what the pressed button says, and go back to where they were chosen."""
    parts = await read_parts(request)
    wish, back, name = (str(parts.get(field, "")) for field in ("do", "back", "name"))
    if wish == "empty":
        number = await request.app[BIN].empty(request[PRINCIPAL])
        return _done(request, BIN_PAGE, wish, _told("remove", number))
    files = file_ids([str(item) for item in parts.getall("p", [])], field="pictures")
    told = await _carry_out(request, wish, files, name)
    if not back.startswith((GALLERY_PAGE, QUEUE_PAGE)):
        back = GALLERY_PAGE
    return _done(request, back, wish, told)


async def _carry_out(request: web.Request, wish: str, files: Sequence[FileId], name: str) -> str:
    """Do it; what was done, in words.

    Raises:
        InvalidInput: there is no such wish, or it lacks a name.
        NotFound, Conflict: a picture is not there.
    """
    gallery, the_bin, principal = request.app[GALLERY], request.app[BIN], request[PRINCIPAL]
    album = ""
    match wish:
        case "favourite":
            await gallery.mark(files, principal, add=[FAVOURITE])
        case "unfavourite":
            await gallery.mark(files, principal, take=[FAVOURITE])
        case "tag" | "untag":
            tags = marks_named("tag", filter(str.strip, name.split(",")), field="name")
            _demand(tags)
            await gallery.mark(files, principal, **{"add" if wish == "tag" else "take": tags})
        case "album" | "unalbum":
            albums = marks_named("album", filter(str.strip, name.split(",")), field="name")
            _demand(albums)
            album = albums[0].name
            await gallery.mark(files, principal, **{"add" if wish == "album" else "take": albums})
        case "delete":
            await the_bin.throw_away(files, principal)
        case "restore":
            await the_bin.put_back(files, principal)
        case "remove":
            await the_bin.remove(files, principal)
        case _:
            raise InvalidInput("unknown action", field="do")
    return _told(wish, len({*files}), album)


def _told(wish: str, number: int, album: str = "") -> str:
    """What was done with so many pictures."""
    return {
        "favourite": ngettext("%(num)s picture among the favourites", "%(num)s pictures among the favourites", number),
        "unfavourite": ngettext(
            "%(num)s picture no favourite any more", "%(num)s pictures no favourites any more", number
        ),
        "tag": ngettext("%(num)s picture tagged", "%(num)s pictures tagged", number),
        "untag": ngettext("%(num)s picture with fewer tags", "%(num)s pictures with fewer tags", number),
        "album": ngettext(
            "%(num)s picture put into %(album)s", "%(num)s pictures put into %(album)s", number, album=album
        ),
        "unalbum": ngettext(
            "%(num)s picture taken out of %(album)s", "%(num)s pictures taken out of %(album)s", number, album=album
        ),
        "delete": ngettext("%(num)s picture deleted", "%(num)s pictures deleted", number),
        "restore": ngettext("%(num)s picture put back", "%(num)s pictures put back", number),
        "remove": ngettext("%(num)s picture removed", "%(num)s pictures removed", number),
    }[wish]


def _demand(marks: Sequence[Mark]) -> None:
    if not marks:
        raise InvalidInput(_("write a name into the field first"), field="name")


@requires(Permission.VIEW)
async def download(request: web.Request) -> web.StreamResponse:
    """The chosen pictures as one ZIP file."""
    parts = await read_parts(request)
    return await send_zip(request, file_ids([str(item) for item in parts.getall("p", [])], field="pictures"))


async def show_bin(request: web.Request) -> web.Response:
    """What was thrown away."""
    the_bin, principal = request.app[BIN], request[PRINCIPAL]
    wanted = JobFilter(in_bin=True, older_than=query_number(request, "older"), limit=_PAGE_LENGTH + 1)
    found = await request.app[JOBS].find(wanted, principal)
    shown = found[:_PAGE_LENGTH]
    context = BinPage(
        tiles=tuple(tile for job in shown for tile in _binned(job, the_bin)),
        next_href=f"{BIN_PAGE}?older={shown[-1].sequence}" if len(found) > _PAGE_LENGTH else "",
        days=the_bin.keep_for.total_seconds() / 86_400,
        can_generate=principal.may(Permission.GENERATE),
    )
    return page(request, "gallery_bin.html", context)


def _binned(job: Job, the_bin: Bin) -> list[BinnedTile]:
    prompt = str(job.parameters.get("prompt", "")).strip()[:200] or _("Picture")
    return [
        BinnedTile(
            id=f"{job.id}/{item.output.file}",
            alt=prompt,
            thumb=f"{BIN_PAGE}/{job.id}/{item.output.file}" if item.output.media_type.startswith("image/") else "",
            gone_at=item.at + the_bin.keep_for,
            size_bytes=item.output.size_bytes,
        )
        for item in job.bin
    ]


async def binned_picture(request: web.Request) -> web.Response:
    """A small JPEG of a picture in the bin."""
    job = await request.app[JOBS].get(request.match_info["job_id"], request[PRINCIPAL])
    file = request.match_info["file"]
    if file not in {item.output.file for item in job.bin}:
        raise NotFound(f"job {job.id} has no file {file!r} in the bin")
    path = await asyncio.to_thread(existing, request.app[SETTINGS].output_dir, job.id, file)
    data = await asyncio.to_thread(request.app[THUMBNAILS].jpeg, path, _THUMB_PX)
    return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


def _done(request: web.Request, back: str, wish: str, told: str) -> web.StreamResponse:
    """Tell the page's script what was done; without it, go back."""
    if not is_htmx(request):
        return see(request, back)
    return web.Response(status=204, headers={"HX-Trigger": json.dumps({"sdrest-done": {"do": wish, "text": told}})})
