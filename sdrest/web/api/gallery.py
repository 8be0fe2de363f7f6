"""The gallery: finished files of all jobs, what is noted on them, the bin, and many of them in one ZIP file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput
from sdrest.core.job import TERMINAL_STATES, Job, JobType, Output
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter, JobOrder, place_of
from sdrest.jobs.marks import FAVOURITE, FileId, Mark, MarkKind
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, parse_query, read_body, read_json, validate
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.gallery import (
    BIN,
    GALLERY,
    clean_name,
    file_ids,
    marks_named,
    read_place,
    send_zip,
    write_place,
)
from sdrest.web.requests.job_views import image_view, timestamp

_FILES: Final = "Files as `<job id>/<file>`."
_Names = list[str]
#: The number of a job, and what an order other than that of submission goes by.
_CURSOR: Final = r"^([0-9]{1,15}(/.*)?)?$"
#: How orders are called, where they are not that of submission.
_ORDERS: Final = {"model": JobOrder.MODEL, "size": JobOrder.SIZE, "favourites": JobOrder.FAVOURITES}


class PageQuery(Body):
    """A page of jobs' files."""

    limit: int = Field(48, ge=1, le=200, description="Jobs on a page.")
    cursor: int | None = Field(None, ge=0, le=10**15, description="`next` of the page before.")


class GalleryQuery(Body):
    """Which files to list."""

    limit: int = Field(48, ge=1, le=200, description="Jobs on a page.")
    cursor: str = Field(
        "", max_length=600, description="`next` of the page before, which is of the same order.", pattern=_CURSOR
    )
    search: str = Field(
        "", max_length=500, description='Words, "phrases", `model:`, `seed:`, `lora:`; `-` before any for not.'
    )
    model_id: str = Field("", max_length=500, description="Only pictures of this model.")
    favourite: bool = Field(False, description="Only favourites.")
    tag: _Names = Field(default_factory=list, description="Only files with all of these tags.")
    album: _Names = Field(default_factory=list, description="Only files in all of these albums.")
    before: datetime | None = Field(None, description="Only of jobs submitted before this time.")
    after: datetime | None = Field(None, description="Only of jobs submitted at or after this time.")
    order: Literal["newest", "oldest", "model", "size", "favourites"] = Field(
        "newest",
        description="Which come first: the newest or oldest job, models by their names, the largest files, or favourites.",
    )


class FilesBody(Body):
    """Some finished files."""

    files: list[str] = Field(min_length=1, max_length=bounds.GALLERY_FILES, description=_FILES)


class MarksBody(FilesBody):
    """What to note on files; what is left out stays as it is."""

    favourite: bool | None = Field(None, description="Whether they are favourites.")
    add_tags: _Names = Field(default_factory=list, max_length=50, description="Tags to put on them.")
    remove_tags: _Names = Field(default_factory=list, max_length=50, description="Tags to take from them.")
    add_albums: _Names = Field(default_factory=list, max_length=50, description="Albums to put them into.")
    remove_albums: _Names = Field(default_factory=list, max_length=50, description="Albums to take them out of.")


class RenameBody(Body):
    """A tag or an album with another name."""

    kind: Literal["tag", "album"] = Field(description="What it is.")
    name: str = Field(min_length=1, max_length=bounds.MARK_NAME, description="Its name.")
    new_name: str = Field(
        max_length=bounds.MARK_NAME, description="Its new name, one that is taken joins the two; empty: it goes."
    )


class GalleryFile(TypedDict):
    """A finished file; ``id`` is how requests of the gallery name it."""

    id: str
    job_id: str
    filename: str
    url: str
    thumb_url: str
    media_type: str
    type: JobType
    width: int
    height: int
    size_bytes: int
    seed: int | None
    prompt: str
    model: str
    created_at: str | None
    favourite: bool
    tags: list[str]
    albums: list[str]


class GalleryFiles(TypedDict):
    """Files of a page of jobs; ``next`` is the ``cursor`` of the next one, null at the end."""

    items: list[GalleryFile]
    next: int | str | None


class BinnedFile(TypedDict):
    """A file that was thrown away; it is removed for good at ``removed_at``."""

    id: str
    job_id: str
    filename: str
    prompt: str
    size_bytes: int
    deleted_at: str | None
    removed_at: str | None


class BinnedFiles(TypedDict):
    """Files in the bin; ``next`` is the ``cursor`` of the next page, null at the end."""

    items: list[BinnedFile]
    next: int | None


class Names(TypedDict):
    """Names in use."""

    tags: Sequence[str]
    albums: Sequence[str]


class Done(TypedDict):
    """How many files that was."""

    success: bool
    files: int


@operation("gallery", query=GalleryQuery, reply=GalleryFiles)
async def listing(request: web.Request) -> web.Response:
    """List finished files, newest first or in another order; only the caller's own, without the permission `manage_queue`.

    Pages are of jobs: all files of a job that match are on one page. What is made or deleted meanwhile moves nothing from one page
    to another.
    """
    query = parse_query(GalleryQuery, request)
    order, newest = _ORDERS.get(query.order, JobOrder.SUBMITTED), query.order != "oldest"
    number, _, key = query.cursor.partition("/")
    after = int(number) if number else None
    beyond = read_place(query.cursor, order)
    if number and (beyond is None if order is not JobOrder.SUBMITTED else key):
        raise InvalidInput("is not `next` of a page of this order", field="cursor")
    marks = (
        *([FAVOURITE] if query.favourite else []),
        *marks_named("tag", query.tag, field="tag"),
        *marks_named("album", query.album, field="album"),
    )
    wanted = JobFilter(
        states=TERMINAL_STATES,
        with_outputs=True,
        search=query.search,
        model_id=query.model_id,
        marks=marks,
        created_after=query.after,
        created_before=query.before,
        order=order,
        beyond=beyond,
        newest_first=newest,
        older_than=after if newest and not beyond else None,
        newer_than=None if newest else after,
        limit=query.limit + 1,
    )
    found = await request.app[JOBS].find(wanted, request[PRINCIPAL])
    jobs = found[: query.limit]
    noted = await request.app[GALLERY].marks_of(jobs)
    items = [
        _file_view(request, job, output, noted.get(FileId(job.id, output.file), ()))
        for job in jobs
        for output in job.outputs
        if {*marks} <= {*noted.get(FileId(job.id, output.file), ())}
    ]
    further: int | str | None = _next(found, query.limit)
    if further is not None and order is not JobOrder.SUBMITTED:
        last = jobs[-1]
        is_favourite = any(FAVOURITE in noted.get(FileId(last.id, output.file), ()) for output in last.outputs)
        further = write_place(place_of(last, order, is_favourite=is_favourite))
    return json_reply({"items": items, "next": further})


@operation("gallery", query=PageQuery, reply=BinnedFiles)
async def bin_listing(request: web.Request) -> web.Response:
    """List what is in the bin, of the newest jobs first."""
    query = parse_query(PageQuery, request)
    wanted = JobFilter(in_bin=True, older_than=query.cursor, limit=query.limit + 1)
    found = await request.app[JOBS].find(wanted, request[PRINCIPAL])
    keep_for = request.app[BIN].keep_for
    items: list[BinnedFile] = [
        {
            "id": f"{job.id}/{item.output.file}",
            "job_id": job.id,
            "filename": item.output.file,
            "prompt": str(job.parameters.get("prompt", "")),
            "size_bytes": item.output.size_bytes,
            "deleted_at": timestamp(item.at),
            "removed_at": timestamp(item.at + keep_for),
        }
        for job in found[: query.limit]
        for item in job.bin
    ]
    return json_reply({"items": items, "next": _next(found, query.limit)})


@operation("gallery", body=FilesBody, reply=Done, errors=(404, 409))
async def throw_away(request: web.Request) -> web.Response:
    """Put finished files into the bin: they are no outputs of their jobs any more, until they are put back.

    They are removed for good after `bin_days` (at once where that is 0), and the job with its last one. `DELETE /jobs/{id}` removes
    a job with all of its files at once.
    """
    files = file_ids((await read_body(FilesBody, request)).files)
    await request.app[BIN].throw_away(files, request[PRINCIPAL])
    return _done(len({*files}))


@operation("gallery", body=FilesBody, reply=Done, errors=(404, 409))
async def put_back(request: web.Request) -> web.Response:
    """Put files in the bin back to the outputs of their jobs."""
    files = file_ids((await read_body(FilesBody, request)).files)
    await request.app[BIN].put_back(files, request[PRINCIPAL])
    return _done(len({*files}))


@operation("gallery", body=FilesBody, body_required=False, reply=Done, errors=(404, 409))
async def empty_bin(request: web.Request) -> web.Response:
    """Remove files in the bin for good: those named, or without a body all that the caller sees there."""
    value = await read_json(request)
    the_bin, principal = request.app[BIN], request[PRINCIPAL]
    if value is None:
        return _done(await the_bin.empty(principal))
    files = file_ids(validate(FilesBody, value).files)
    await the_bin.remove(files, principal)
    return _done(len({*files}))


@operation("gallery", body=MarksBody, reply=Done, errors=(404,))
async def mark(request: web.Request) -> web.Response:
    """Make finished files favourites, tag them, put them into albums, or take any of that from them."""
    body = await read_body(MarksBody, request)
    files = file_ids(body.files)
    add = [
        *([FAVOURITE] if body.favourite else []),
        *marks_named("tag", body.add_tags, field="add_tags"),
        *marks_named("album", body.add_albums, field="add_albums"),
    ]
    take = [
        *([FAVOURITE] if body.favourite is False else []),
        *marks_named("tag", body.remove_tags, field="remove_tags"),
        *marks_named("album", body.remove_albums, field="remove_albums"),
    ]
    await request.app[GALLERY].mark(files, request[PRINCIPAL], add=add, take=take)
    return _done(len({*files}))


@operation("gallery", reply=Names)
async def names(request: web.Request) -> web.Response:
    """Tags and albums that are in use."""
    gallery, principal = request.app[GALLERY], request[PRINCIPAL]
    return json_reply(
        {"tags": await gallery.names("tag", principal), "albums": await gallery.names("album", principal)}
    )


@operation("gallery", body=RenameBody, reply=Names, errors=(404,))
async def rename(request: web.Request) -> web.Response:
    """Give a tag or an album another name, or take it from all files; the files stay."""
    body = await read_body(RenameBody, request)
    kind: MarkKind = body.kind
    new = clean_name(kind, body.new_name, field="new_name") if body.new_name else ""
    old = clean_name(kind, body.name, field="name")
    await request.app[GALLERY].rename(kind, old, new, request[PRINCIPAL])
    return await names(request)


@requires(Permission.VIEW)
@operation("gallery", body=FilesBody, reply=Reply(None, "application/zip", "The files"), errors=(404,))
async def as_zip(request: web.Request) -> web.StreamResponse:
    """Many finished files as one ZIP file, sent as it is made."""
    return await send_zip(request, file_ids((await read_body(FilesBody, request)).files))


def _done(number: int) -> web.Response:
    return json_reply({"success": True, "files": number})


def _next(found: Sequence[Job], limit: int) -> int | None:
    return found[limit - 1].sequence if len(found) > limit else None


def _file_view(request: web.Request, job: Job, output: Output, marks: Iterable[Mark]) -> GalleryFile:
    view = image_view(base_of(request.app), job.id, output)
    by_kind: Mapping[str, list[str]] = _by_kind(marks)
    return {
        "id": f"{job.id}/{output.file}",
        "job_id": job.id,
        **view,
        "type": job.type,
        "prompt": str(job.parameters.get("prompt", "")),
        "model": job.model_name,
        "created_at": timestamp(job.created_at),
        "favourite": "favourite" in by_kind,
        "tags": by_kind.get("tag", []),
        "albums": by_kind.get("album", []),
    }


def _by_kind(marks: Iterable[Mark]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in marks:
        found.setdefault(item.kind, []).append(item.name)
    return found


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/gallery", listing),
    ("GET", "/gallery/names", names),
    ("POST", "/gallery/names", rename),
    ("POST", "/gallery/marks", mark),
    ("POST", "/gallery/zip", as_zip),
    ("POST", "/gallery/delete", throw_away),
    ("GET", "/gallery/bin", bin_listing),
    ("DELETE", "/gallery/bin", empty_bin),
    ("POST", "/gallery/bin/restore", put_back),
)
