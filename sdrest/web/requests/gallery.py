"""Finished files in requests of the API and of the pages: their names, what is noted on them, and many in one ZIP file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from aiohttp import web

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput
from sdrest.core.files import existing
from sdrest.jobs.bin import Bin
from sdrest.jobs.gallery import Gallery
from sdrest.jobs.listing import JobOrder, Place
from sdrest.jobs.marks import FileId, Mark, MarkKind
from sdrest.outputs.zipping import Entry, zip_pieces
from sdrest.web.http.keys import PRINCIPAL, SETTINGS

GALLERY: Final = web.AppKey("gallery", Gallery)
BIN: Final = web.AppKey("bin", Bin)

#: More than any number of a job or of bytes has.
_DIGITS: Final = 15


def file_ids(texts: Sequence[str], *, field: str = "files") -> list[FileId]:
    """Files from their names as ``<job id>/<file>``.

    Raises:
        InvalidInput: there are none, or too many, or one is no such name.
    """
    if not texts:
        raise InvalidInput("name at least one file", field=field)
    if len(texts) > bounds.GALLERY_FILES:
        raise InvalidInput(f"{len(texts)} files are more than the {bounds.GALLERY_FILES} of a request", field=field)
    found = []
    for index, text in enumerate(texts):
        job_id, slash, file = text.partition("/")
        if not (job_id and slash and file):
            raise InvalidInput("must be <job id>/<file>", field=f"{field}.{index}")
        found.append(FileId(job_id, file))
    return found


def marks_named(kind: MarkKind, names: Iterable[str], *, field: str) -> list[Mark]:
    """Tags or albums of some names; tags in lower case, all without needless blanks.

    Raises:
        InvalidInput: one is empty, too long, or holds what a name cannot.
    """
    return [Mark(kind, clean_name(kind, name, field=field)) for name in names]


def clean_name(kind: MarkKind, text: str, *, field: str) -> str:
    """The name of a tag or album as it is kept.

    Raises:
        InvalidInput: it is empty, too long, or holds what a name cannot.
    """
    name = " ".join(text.split())
    if not name or len(name) > bounds.MARK_NAME or not name.isprintable() or "," in name:
        raise InvalidInput(f"a name has 1 to {bounds.MARK_NAME} characters and no comma", field=field)
    return name.lower() if kind == "tag" else name


def write_place(place: Place) -> str:
    """A place of an order as addresses and cursors have it."""
    return f"{place.sequence}/{place.key}"


def read_place(text: str, order: JobOrder) -> Place | None:
    """The place that :func:`write_place` wrote for this order; None where it did not."""
    sequence, slash, key = text.partition("/")
    if not slash or not (sequence.isascii() and sequence.isdigit() and len(sequence) <= _DIGITS):
        return None
    if order is JobOrder.MODEL:
        return Place(int(sequence), key)
    return Place(int(sequence), int(key)) if key.isascii() and key.isdigit() and len(key) <= _DIGITS else None


async def send_zip(request: web.Request, files: Sequence[FileId]) -> web.StreamResponse:
    """Answer with a ZIP file of outputs, as it is made.

    Raises:
        NotFound: one is not there.
    """
    found = await request.app[GALLERY].outputs(files, request[PRINCIPAL])
    folder = request.app[SETTINGS].output_dir

    def entries() -> list[Entry]:
        return [
            Entry(
                existing(folder, job.id, output.file),
                f"{job.created_at:%Y-%m-%d}-{job.id[:8]}-{output.file}",
                job.created_at,
            )
            for job, output in found
        ]

    pieces = zip_pieces(await asyncio.to_thread(entries))
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/zip",
            "Content-Disposition": 'attachment; filename="pictures.zip"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    while piece := await asyncio.to_thread(next, pieces, b""):
        await response.write(piece)
    await response.write_eof()
    return response
