"""Downloading models: gone on with after breaks and restarts, checked, and never over another file."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import structlog

from sdrest.core.errors import InvalidInput, ModelUnusable, NotFound, Unavailable
from sdrest.core.job import Job
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.net.streaming import Answer, Open
from sdrest.registry.folders import FolderKind
from sdrest.registry.incoming import Incoming, IncomingFiles
from sdrest.registry.placing import kind_of, place
from sdrest.registry.registry import Registry
from sdrest.work.downloads.first_seen import FirstSeen
from sdrest.work.downloads.hubs import Hubs
from sdrest.work.downloads.sources import Found, part_key
from sdrest.work.progress import ByteMeter

log = structlog.get_logger(__name__)

T = TypeVar("T")

_WRITE_BYTES: Final = 1024 * 1024
_REPORT_SECONDS: Final = 0.25
#: Breaks in a row, without a byte between them, after which a download fails.
_MAX_BREAKS: Final = 5
_LONGEST_PAUSE_SECONDS: Final = 60.0
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class DownloadExecutor:
    """Carries out downloads; see :class:`sdrest.jobs.worker.Executor`.

    A job's ``source``, ``type``, ``path`` and ``sha256`` are checked when it is submitted; type and name that only the source
    knows are found out here.
    """

    def __init__(
        self,
        registry: Registry,
        files: IncomingFiles,
        hubs: Hubs,
        open_url: Open,
        seen: FirstSeen,
        *,
        retry_seconds: float,
    ) -> None:
        self._registry = registry
        self._seen = seen
        self._files = files
        self._hubs = hubs
        self._open = open_url
        self._retry_seconds = retry_seconds

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        started_at = time.monotonic()
        warnings: list[str] = []
        key = part_key(attempt.job.parameters)
        if await asyncio.to_thread(self._files.finished, key) is None:
            transfer = _Transfer(self._registry, self._files, self._hubs, self._open, self._seen, attempt, key)
            try:
                warnings = await self._insist(transfer)
            except (
                asyncio.CancelledError
            ):  # when the server stops, the part stays: the job goes on when it starts again
                transfer.end(keep=not attempt.is_cancelled)
                raise
            except Unavailable:
                transfer.end(keep=True)
                raise
            except BaseException:
                transfer.end(keep=False)
                raise
        await asyncio.to_thread(self._registry.refresh)
        return Result(seconds=time.monotonic() - started_at, warnings=tuple(warnings))

    async def _insist(self, transfer: _Transfer) -> list[str]:
        """The warnings of a transfer that came to its end, however often the connection broke."""
        breaks = 0
        while True:
            before = transfer.size
            try:
                return await transfer.run()
            except Unavailable as error:
                breaks = 1 if transfer.size > before else breaks + 1
                if breaks > _MAX_BREAKS:
                    raise
                log.info("a download was interrupted", reason=error.message, bytes=transfer.size)
            await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, self._retry_seconds * 2 ** (breaks - 1)))


class _Transfer:
    """One attempt at one download."""

    def __init__(
        self,
        registry: Registry,
        files: IncomingFiles,
        hubs: Hubs,
        open_url: Open,
        seen: FirstSeen,
        attempt: Attempt,
        key: str,
    ) -> None:
        self._registry = registry
        self._seen = seen
        self._files = files
        self._hubs = hubs
        self._open = open_url
        self._attempt = attempt
        self._key = key
        self._meter = ByteMeter()
        self._incoming: Incoming | None = None
        #: Bytes that have come, written or not.
        self._come = 0

    @property
    def _job(self) -> Job:
        return self._attempt.job

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self._incoming.size if self._incoming else 0

    def end(self, *, keep: bool) -> None:
        """Close the part; ``keep`` it to be gone on with."""
        if self._incoming is not None:
            if keep:
                self._incoming.suspend()
            else:
                self._incoming.discard()

    async def run(self) -> list[str]:
        """Fetch what is missing, check the whole and name it; warnings. Raises Unavailable for what may be tried again."""
        if self._incoming is None:
            self._incoming = await whole(self._files.resume, self._key)
        text = self._job.parameters
        found = await self._hubs.find(self._hubs.parse(text["source"]), self._open)
        kind = kind_of(text.get("type") or found.type)
        if found.type and not kind_of(found.type).type & kind.types:  # better told now than when all of it is here
            raise InvalidInput(f"{found.name} belongs in {found.type}, as its host says", field="type")
        sha256 = text.get("sha256") or found.sha256
        incoming = self._incoming
        if incoming is None or not incoming.size or incoming.size != incoming.note.total:
            async with self._open(found.url, {**found.headers, **self._rest(bool(sha256))}) as answer:
                incoming = await self._receive(answer, found, kind)
        target = await whole(incoming.finish, kind, sha256)
        self._incoming = None
        log.info("a model was downloaded", file=target.name, bytes=incoming.size)
        return await asyncio.to_thread(self._kept, target, incoming.sha256, found)

    def _kept(self, target: Path, sha256: str, found: Found) -> list[str]:
        """Keep what is known of a file that has come: notes beside it, and its hash where nobody knew one; warnings."""
        text = self._job.parameters
        warnings = _keep_notes(target, ".civitai.info", found.notes) if found.notes else []
        metadata = {**found.metadata, **({"defaults": text["defaults"]} if text.get("defaults") else {})}
        if found.origin:
            metadata["source"] = {**found.origin, "sha256": sha256}
        if metadata:
            warnings += _keep_notes(target, ".metadata.json", metadata)
        if text.get("note_hash"):
            self._seen.note(text["source"], sha256)
            told = "its host tells the same" if found.sha256 else "it was compared with nothing"
            warnings.append(
                f"{target.name}: no catalogue knows its hash, and {told}; {sha256} is noted, and compared from now on"
            )
        return warnings

    def _rest(self, is_known: bool) -> dict[str, str]:
        """Headers that ask for the bytes that are missing, if what is here can be relied on."""
        if not self.size or self._incoming is None:
            return {}
        validator = self._incoming.note.validator
        if not validator and not is_known:
            return {}
        return {"Range": f"bytes={self.size}-", **({"If-Range": validator} if validator else {})}

    async def _receive(self, answer: Answer, found: Found, kind: FolderKind) -> Incoming:
        _check_answer(answer, found)
        start, total = _extent(answer)
        validator = _validator(answer.headers)
        incoming = self._incoming
        if incoming is None:
            name = self._name(answer, found)
            target = place(self._registry.folders, kind, self._job.parameters.get("path", ""), name)
            incoming = self._incoming = await whole(self._files.begin, target, self._key)
        other = answer.status == 206 and (start != incoming.size or validator != incoming.note.validator)
        if answer.status == 416 or other:
            await whole(incoming.restart)
            raise Unavailable("the file has changed since the download began; it begins again")
        if answer.status != 206 and incoming.size:
            await whole(incoming.restart)
        await whole(incoming.expect, total, validator)
        self._come = incoming.size
        ticking = asyncio.create_task(self._tell(total))
        try:
            await self._copy(answer, incoming)
        finally:
            ticking.cancel()
        if total is not None and incoming.size < total:
            raise Unavailable(f"the connection ended after {incoming.size} of {total} bytes")
        self._report(total)
        return incoming

    async def _copy(self, answer: Answer, incoming: Incoming) -> None:
        """Write what comes; when the connection breaks, what has come until then."""
        buffer = bytearray()
        try:
            async for chunk in answer.chunks:
                buffer += chunk
                self._come += len(chunk)
                if len(buffer) >= _WRITE_BYTES:
                    await whole(incoming.write, bytes(buffer))
                    buffer.clear()
        except Unavailable:
            await whole(incoming.write, bytes(buffer))
            raise
        await whole(incoming.write, bytes(buffer))

    async def _tell(self, total: int | None) -> None:
        """Report again and again, also while nothing comes."""
        while True:
            self._report(total)
            await asyncio.sleep(_REPORT_SECONDS)

    def _name(self, answer: Answer, found: Found) -> str:
        """The file's name: the hub's, else the answer's, else the last part of the address that gave it."""
        if found.name:
            return found.name
        header = Message()
        header["Content-Disposition"] = answer.headers.get("Content-Disposition", "")
        name = (header.get_filename() or "").replace("\\", "/").rpartition("/")[2]
        return name or unquote(urlsplit(found.url).path.rpartition("/")[2])

    def _report(self, total: int | None) -> None:
        progress = self._meter.at(self._come, total)
        if progress is not None:
            self._attempt.reached(progress)


async def whole(work: Callable[..., T], *arguments: object) -> T:
    """``work`` on a thread, waited for even when the caller is cancelled: no file is closed under a thread that writes it."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise


def _check_answer(answer: Answer, found: Found) -> None:
    """Raises what an answer without a file means."""
    hint = found.login_hint or "it cannot be reached without signing in"
    match answer.status:
        case 200 | 206 | 416:
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if answer.status != 416 and kind in {"text/html", "application/xhtml+xml"}:
                raise ModelUnusable(f"the address gives a web page, not a model; {hint}")
        case 401 | 403:
            raise InvalidInput(f"the answer was {answer.status}; {hint}", field="source")
        case 404 | 410:
            raise NotFound(f"there is no such file: the answer was {answer.status}")
        case 408 | 425 | 429:
            raise Unavailable(f"the answer was {answer.status}")
        case status if status >= 500:
            raise Unavailable(f"the answer was {status}")
        case status:
            raise InvalidInput(f"the answer was {status}, not a file", field="source")


def _extent(answer: Answer) -> tuple[int, int | None]:
    """Where in the file the body begins, and the size of the whole file where it is told."""
    if answer.status == 206:
        match = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        if match is None:
            return -1, None
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _validator(headers: Mapping[str, str]) -> str:
    """What ``If-Range`` takes (RFC 9110 §13.1.5): a strong entity tag, else the time of the last change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _keep_notes(target: Path, ending: str, notes: Mapping[str, object]) -> list[str]:
    """Write what is told of the model beside it, unless something is there; warnings."""
    path = target.with_name(target.stem + ending)
    try:
        with path.open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(notes)))
    except FileExistsError:
        return []
    except OSError as error:
        return [f"the description could not be written: {error.strerror}"]
    return []
