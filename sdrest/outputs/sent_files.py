"""Pictures that users have sent to be named in later requests: kept on the disk until they are deleted or their time is over.

Each is two files in a folder of its owner: the data, and then what is known of it, so that a file that is known is whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from PIL import Image

from sdrest.core.background import Background
from sdrest.core.errors import NotFound, TooLarge
from sdrest.core.files import atomic_file

_DAY_SECONDS: Final = 86_400
_INTERVAL_SECONDS: Final = 600
#: Age of data that nobody knows of, at which no upload can be about to tell of it any more.
_ORPHAN_SECONDS: Final = 3600


class SentFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file; times are seconds since 1970."""

    id: str
    name: str
    purpose: str
    media_type: str
    size_bytes: int
    created_at: int
    #: 0: it does not expire.
    expires_at: int = 0


class SentFiles:
    """All of them. Methods block: not for the event loop.

    Args:
        folder: Where they lie.
        max_bytes: Bytes that one owner may keep.
        keep_days: Age at which they go; 0: never.
        clock: Seconds since 1970.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int, keep_days: float = 0, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._keep_seconds = keep_days * _DAY_SECONDS
        self._clock = clock
        self._adding = threading.Lock()
        #: Removes those whose time is over.
        self.loop = Background("sent-files", self._run)

    def add(self, owner: str, data: bytes, *, name: str, purpose: str, expires_seconds: int = 0) -> SentFile:
        """Keep a picture; it is on the disk when this returns.

        Raises:
            TooLarge: with it, its owner would have more bytes here than one may.
            InsufficientStorage: the disk is full.
        """
        now = int(self._clock())
        file = SentFile(
            id=uuid.uuid4().hex,
            name=name,
            purpose=purpose,
            media_type=_media_type(data),
            size_bytes=len(data),
            created_at=now,
            expires_at=now + expires_seconds if expires_seconds else 0,
        )
        with self._adding:
            taken = sum(item.size_bytes for item in self.all(owner))
            if taken + len(data) > self._max_bytes:
                raise TooLarge(
                    f"your files have {taken} bytes, and with this one {taken + len(data)}; at most {self._max_bytes} are kept "
                    "(setting max_file_bytes_per_user): delete some"
                )
            for suffix, content in (("data", data), ("json", msgspec.json.encode(file))):
                with atomic_file(self._path(owner, file.id, suffix), mode=0o600) as stream:
                    stream.write(content)
        return file

    def get(self, owner: str, file_id: str) -> tuple[SentFile, Path]:
        """A file of ``owner``, and where its data lies.

        Raises:
            NotFound: there is none of that id, or its time is over.
        """
        with suppress(OSError, msgspec.MsgspecError):
            file = msgspec.json.decode(self._path(owner, file_id, "json").read_bytes(), type=SentFile)
            if not self._is_over(file):
                return file, self._path(owner, file_id, "data")
        raise NotFound("no such file")

    def all(self, owner: str) -> list[SentFile]:
        """The files of ``owner``, the oldest first."""
        return sorted(
            (file for _, file in _read(self._folder_of(owner)) if not self._is_over(file)),
            key=lambda file: (file.created_at, file.id),
        )

    def remove(self, owner: str, file_id: str) -> None:
        """Delete a file.

        Raises:
            NotFound: as :meth:`get`.
        """
        self.get(owner, file_id)
        _remove(self._path(owner, file_id, "json"))

    def sweep(self) -> None:
        """Delete what has expired or is too old, and what a crash has left."""
        for folder in self._folder.glob("*/"):
            with self._adding:
                for path, file in _read(folder):
                    if self._is_over(file):
                        _remove(path)
                for path in folder.iterdir():
                    if path.suffix != ".json" and not path.with_suffix(".json").exists() and self._is_forgotten(path):
                        path.unlink(missing_ok=True)
                with suppress(OSError):  # it holds something
                    folder.rmdir()

    def _is_forgotten(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            return self._clock() - path.stat().st_mtime > _ORPHAN_SECONDS
        return False

    async def _run(self) -> None:
        while True:
            await asyncio.to_thread(self.sweep)
            await asyncio.sleep(_INTERVAL_SECONDS)

    def _is_over(self, file: SentFile) -> bool:
        now = self._clock()
        return bool(
            (file.expires_at and file.expires_at <= now)
            or (self._keep_seconds and file.created_at + self._keep_seconds <= now)
        )

    def _folder_of(self, owner: str) -> Path:
        return self._folder / hashlib.blake2b(owner.encode(), digest_size=16).hexdigest()

    def _path(self, owner: str, file_id: str, suffix: str) -> Path:
        return self._folder_of(owner) / f"{uuid.UUID(file_id).hex}.{suffix}"


def _media_type(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as picture:
        return Image.MIME.get(picture.format or "", "application/octet-stream")


def _read(folder: Path) -> Iterator[tuple[Path, SentFile]]:
    """What is known in a folder, and where."""
    for path in folder.glob("*.json"):
        with suppress(OSError, msgspec.MsgspecError):  # it has just gone
            yield path, msgspec.json.decode(path.read_bytes(), type=SentFile)


def _remove(path: Path) -> None:
    """Delete a file by where it is known: that goes first."""
    path.unlink(missing_ok=True)
    path.with_suffix(".data").unlink(missing_ok=True)
