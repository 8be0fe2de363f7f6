"""Files on their way into the model folders: written beside their target under a hidden name, checked, then named.

Each is noted in a small file of the state folder before its first byte is written, so that what an abrupt end of the server
leaves behind is found again: to go on with (downloads), or to be removed (uploads). Everything here blocks and belongs on a
thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from sdrest.core.errors import InsufficientStorage, InvalidInput, ModelUnusable, TooLarge, Unavailable
from sdrest.core.files import atomic_file, disk_is_full, name_new
from sdrest.registry.folders import FolderKind
from sdrest.registry.placing import accept, already_there

_BLOCK_BYTES: Final = 4 * 1024 * 1024
#: Free space is looked at again each time so many bytes have been written.
_LOOK_AGAIN_BYTES: Final = 64 * 1024 * 1024


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file on its way."""

    part: str
    target: str
    #: Whether it is gone on with after a restart.
    resumable: bool = False
    #: The source's strong validator (``ETag`` or ``Last-Modified``) of what is in the part.
    validator: str = ""
    #: Size of the whole in bytes, where it is known.
    total: int | None = None
    #: Whether the target is there: kept until the job's end is stored, so that a server killed in between does not repeat it.
    done: bool = False


class Incoming:
    """One file on its way. Made by :class:`IncomingFiles`; use one thread at a time."""

    def __init__(self, files: IncomingFiles, key: str, note: Note) -> None:
        self._files = files
        self._key = key
        self.note = note
        self.part = Path(note.part)
        self.target = Path(note.target)
        #: Bytes written so far, those of earlier attempts included.
        self.size = 0
        self._digest = hashlib.sha256()
        self._looked_at = 0
        self._file = self.part.open("a+b", buffering=0)
        self._file.seek(0)
        while block := self._file.read(_BLOCK_BYTES):
            self._digest.update(block)
            self.size += len(block)

    @property
    def sha256(self) -> str:
        """SHA-256 of what has been written, in hexadecimal digits."""
        return self._digest.hexdigest()

    def expect(self, total: int | None, validator: str = "") -> None:
        """Note the size of the whole and what tells whether it is still the same.

        Raises:
            TooLarge, InsufficientStorage: it is not going to fit.
        """
        if total is not None:
            self._files.check_size(self.target, total, total - self.size)
        self.note = msgspec.structs.replace(self.note, total=total, validator=validator)
        self._files.write_note(self._key, self.note)

    def restart(self) -> None:
        """Forget what has been written."""
        self._file.truncate(0)
        self._digest = hashlib.sha256()
        self.size = self._looked_at = 0

    def write(self, data: bytes | bytearray) -> None:
        """Append.

        Raises:
            TooLarge, InsufficientStorage: it does not fit.
        """
        if self.size + len(data) > self._files.max_bytes:
            raise self._files.too_large(self.target)
        if self.size - self._looked_at >= _LOOK_AGAIN_BYTES:
            self._looked_at = self.size
            self._files.check_size(self.target, self.size, len(data))
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._said(error) from None
        self._digest.update(data)
        self.size += len(data)

    def finish(self, kind: FolderKind, sha256: str = "") -> Path:
        """Check the whole file and give it its name; the file.

        Raises:
            InvalidInput: its hash is not ``sha256`` (any case; empty: not compared), or it is of another type.
            ModelUnusable: its header is not that of a model that can be used.
            Conflict: the target exists by now.
        """
        if sha256 and self.sha256 != sha256.lower():
            raise InvalidInput(
                f"{self.target.name} has the hash {self.sha256}, not {sha256.lower()}: it is damaged or another file",
                field="sha256",
            )
        if not self.size:
            raise ModelUnusable(f"{self.target.name}: the file is empty")
        accept(self.part, kind, self.target.name)
        try:
            os.fsync(self._file.fileno())
            name_new(self.part, self.target)
        except FileExistsError:
            raise already_there(self.target) from None
        except OSError as error:
            raise self._said(error) from None
        self._file.close()
        if self.note.resumable:
            self._files.write_note(self._key, msgspec.structs.replace(self.note, done=True))
            self.part.unlink(missing_ok=True)
        else:
            self.discard()
        return self.target

    def suspend(self) -> None:
        """Close the file, which stays to be gone on with."""
        self._file.close()

    def discard(self) -> None:
        """Remove what has been written. Safe to call twice."""
        self._file.close()
        self._files.forget(self._key, self.note)

    def _said(self, error: OSError) -> InsufficientStorage | Unavailable:
        if disk_is_full(error):
            return InsufficientStorage(f"the disk of {self.target.parent.name} is full")
        return Unavailable(f"cannot write to {self.target.parent.name}: {error.strerror}")


class IncomingFiles:
    """All files on their way into the model folders.

    Args:
        folder: Where they are noted.
        max_bytes: Size that one may have.
        min_free_bytes: Space that is left free on the disk.
    """

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int) -> None:
        self._folder = folder
        self.max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes

    def begin(self, target: Path, key: str = "") -> Incoming:
        """A file that is going to be ``target``. With ``key`` it can be gone on with by :meth:`resume`.

        Raises:
            Conflict: the target exists.
            Unavailable, InsufficientStorage: nothing can be written there.
        """
        if target.exists():
            raise already_there(target)
        name = key or secrets.token_hex(8)
        part = target.with_name(f".{name}.part{target.suffix}")
        note = Note(part=str(part), target=str(target), resumable=bool(key))
        try:
            self.write_note(name, note)
            part.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            return Incoming(self, name, note)
        except OSError as error:
            self.forget(name, note)
            if disk_is_full(error):
                raise InsufficientStorage(f"the disk of {target.parent.name} is full") from None
            raise Unavailable(f"cannot write to {target.parent}: {error.strerror}") from None

    def resume(self, key: str) -> Incoming | None:
        """The file that was begun with ``key``, as far as it has come; None when there is none. Reads all of it."""
        note = self._read(self._note_path(key))
        if note is None or not Path(note.part).is_file():
            return None
        try:
            return Incoming(self, key, note)
        except OSError:
            return None

    def finished(self, key: str) -> Path | None:
        """The target of the file that was begun with ``key``, when it has got its name already."""
        note = self._read(self._note_path(key))
        if note is None:
            return None
        part, target = Path(note.part), Path(note.target)
        named = note.done or (part.exists() and target.exists() and part.samefile(target))
        return target if named and target.exists() else None

    def is_empty(self) -> bool:
        """Whether nothing is on its way."""
        return next(self._folder.glob("*.json"), None) is None

    def sweep(self, going_on: Collection[str], repeatable: Collection[str] = (), *, uploads: bool = False) -> None:
        """Remove what nothing goes on with.

        Args:
            going_on: Keys of what is going on or going to.
            repeatable: Keys of what may be tried again, and then goes on where it was.
            uploads: Whether files that cannot be gone on with are removed as well: none of them is being written.
        """
        for path in self._folder.glob("*.json"):
            key, note = path.stem, self._read(path)
            if note is None:
                path.unlink(missing_ok=True)
            elif not note.resumable:
                if uploads:
                    self.forget(key, note)
            elif key not in going_on and (note.done or key not in repeatable):
                self.forget(key, note)

    def check_size(self, target: Path, total: int, still: int) -> None:
        """Do nothing when a file of ``total`` bytes, ``still`` of which are to be written, fits beside ``target``.

        Raises:
            TooLarge, InsufficientStorage: it does not.
        """
        if total > self.max_bytes:
            raise self.too_large(target)
        folder = next(folder for folder in target.parents if folder.is_dir())
        free = shutil.disk_usage(folder).free
        if still + self._min_free_bytes > free:
            raise InsufficientStorage(
                f"the disk of {folder.name} has {free // 2**20} MiB left; {target.name} takes {still // 2**20 + 1} MiB, and "
                f"{self._min_free_bytes // 2**20} MiB are kept free (setting min_free_bytes)",
                free_bytes=free,
                needed_bytes=still,
            )

    def too_large(self, target: Path) -> TooLarge:
        """The error for a file that is larger than files may be."""
        return TooLarge(f"{target.name} is larger than {self.max_bytes} bytes (setting max_model_bytes)")

    def write_note(self, key: str, note: Note) -> None:
        """Note a file, whole or not at all."""
        with atomic_file(self._note_path(key)) as stream:
            stream.write(msgspec.json.encode(note))

    def forget(self, key: str, note: Note) -> None:
        """Remove a part and its note."""
        with contextlib.suppress(OSError):
            Path(note.part).unlink(missing_ok=True)
        self._note_path(key).unlink(missing_ok=True)

    def _note_path(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    @staticmethod
    def _read(path: Path) -> Note | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Note)
        except (OSError, msgspec.DecodeError):
            return None
