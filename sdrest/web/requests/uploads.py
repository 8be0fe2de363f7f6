"""Receiving model files: straight from the connection to the disk, whatever their size."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from sdrest.core.errors import InvalidInput, TooLarge, Unavailable
from sdrest.core.model import Model
from sdrest.registry.incoming import Incoming, IncomingFiles
from sdrest.registry.placing import kind_of, place
from sdrest.web.http.keys import MODELS, REFRESHER
from sdrest.web.http.room import AtOnce
from sdrest.work.downloads.executor import whole
from sdrest.work.downloads.sources import checked_sha256

UPLOADS: Final = web.AppKey("uploads", AtOnce)

INCOMING: Final = web.AppKey("incoming", IncomingFiles)

log = structlog.get_logger(__name__)

#: The form's texts; they come before the file, so that it is known where the file goes.
TEXTS: Final = ("type", "path", "sha256")
_CHUNK_BYTES: Final = 256 * 1024
_WRITE_BYTES: Final = 4 * 1024 * 1024
_MAX_TEXT_BYTES: Final = 4096


@dataclass(slots=True)
class Upload:
    """An upload as far as it has come: its texts, for drawing the form again."""

    texts: dict[str, str] = field(default_factory=dict)


async def receive(request: web.Request, upload: Upload, *, prefix: str = "") -> Model:
    """The model that a multipart form brings, registered. ``prefix`` stands before the names of the form's fields.

    Raises:
        InvalidInput: a field is wrong or missing, the hash differs, or the file is of another type.
        ModelUnusable, Conflict, TooLarge, TooManyRequests, InsufficientStorage, Unavailable: as the names say.
    """
    with request.app[UPLOADS].one():
        return await _receive(request, upload, prefix)


async def _receive(request: web.Request, upload: Upload, prefix: str) -> Model:
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise InvalidInput("a form within the form is not understood")
            name = (part.name or "").removeprefix(prefix)
            if name == "file":
                return await _receive_file(request, upload.texts, part)
            if name not in TEXTS:
                raise InvalidInput(f"unknown field; known: {', '.join((*TEXTS, 'file'))}", field=name or "body")
            upload.texts[name] = await _text(part, name)
    except (HttpProcessingError, ValueError, LookupError, AssertionError) as error:
        reason = error.message if isinstance(error, HttpProcessingError) else str(error)
        raise InvalidInput(f"the form cannot be read: {reason or type(error).__name__}") from None
    raise InvalidInput("choose a file", field="file")


async def _text(part: BodyPartReader, name: str) -> str:
    data = bytearray()
    while chunk := await part.read_chunk(_MAX_TEXT_BYTES):
        data += chunk
        if len(data) > _MAX_TEXT_BYTES:
            raise TooLarge(f"{name} is longer than {_MAX_TEXT_BYTES} bytes")
    return data.decode().strip()


async def _receive_file(request: web.Request, texts: dict[str, str], part: BodyPartReader) -> Model:
    registry = request.app[MODELS]
    if not part.filename:
        raise InvalidInput("choose a file", field="file")
    if "type" not in texts:
        raise InvalidInput("must come before the file, as must path and sha256", field="type")
    kind = kind_of(texts["type"])
    sha256 = checked_sha256(texts.get("sha256", ""))
    target = await asyncio.to_thread(place, registry.folders, kind, texts.get("path", ""), part.filename)
    incoming = await whole(request.app[INCOMING].begin, target)
    try:
        if request.content_length is not None:
            # What the form adds around the file is a few hundred bytes.
            await whole(incoming.expect, request.content_length)
        await _copy(part, incoming)
        await whole(incoming.finish, kind, sha256)
    finally:
        await whole(incoming.discard)
    await request.app[REFRESHER].refresh()
    log.info("a model was uploaded", file=target.name, bytes=incoming.size)
    found = await asyncio.to_thread(_at, target, registry.catalogue.models)
    if found is None:
        raise Unavailable(f"{target.name} was stored but is not listed; look at the model folders")
    return found


def _at(path: Path, models: Iterable[Model]) -> Model | None:
    return next((model for model in models if model.path.name == path.name and model.path.resolve() == path), None)


async def _copy(part: BodyPartReader, incoming: Incoming) -> None:
    """Write what comes.

    Raises:
        ConnectionResetError: the client went away.
    """
    buffer = bytearray()
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        buffer += chunk
        if len(buffer) >= _WRITE_BYTES:
            await whole(incoming.write, bytes(buffer))
            buffer.clear()
    await whole(incoming.write, bytes(buffer))
