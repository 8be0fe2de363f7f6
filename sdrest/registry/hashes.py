"""Hashes of model files: SHA-256, and the short hashes that A1111 clients know models by.

- AutoV1: first 8 digits of the SHA-256 of the 64 KiB that begin 1 MiB into the file (A1111 before 2023).
- AutoV2: first 10 digits of the SHA-256 of the file.
- AutoV3: first 12 digits of the SHA-256 of a safetensors file's data without its header (``addnet_hash``; the same
whatever
  metadata is edited).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdrest.core.errors import Cancelled, Conflict, InvalidInput
from sdrest.core.files import atomic_file
from sdrest.core.model import Model, ModelFormat
from sdrest.registry.readers.reading import read_header

_CHUNK_BYTES = 4 * 1024 * 1024
_V1_START, _V1_LENGTH = 0x100000, 0x10000
Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


class Hashes(msgspec.Struct, frozen=True):
    """The hashes of one file as it was with this size (bytes) and time (ns)."""

    size: int
    mtime_ns: int
    sha256: str
    autov1: str = ""
    autov2: str = ""
    autov3: str = ""

    @property
    def short(self) -> dict[str, str]:
        """Short hashes by name, those that exist."""
        named = {"autov1": self.autov1, "autov2": self.autov2, "autov3": self.autov3}
        return {name: value for name, value in named.items() if value}


@dataclass(slots=True)
class _Partial:
    """A hashing that was stopped: the digests so far, which go on from ``done`` bytes."""

    size: int
    mtime_ns: int
    done: int
    whole: hashlib._Hash
    data: hashlib._Hash


_decoder = msgspec.json.Decoder(dict[str, Hashes])


class HashCache:
    """Known hashes by path, kept in a file; safe to use from several threads.

    A stopped hashing goes on where it stopped as long as the process lives (digests cannot be stored).
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._partial: dict[Path, _Partial] = {}
        self._known: dict[str, Hashes] = self._load()

    def get(self, path: Path, size: int, mtime_ns: int) -> Hashes | None:
        """The hashes of a file that still has this size and time."""
        found = self._known.get(str(path))
        return found if found is not None and (found.size, found.mtime_ns) == (size, mtime_ns) else None

    def of(self, model: Model) -> Hashes | None:
        """The known hashes of a registered model."""
        return self.get(model.path, model.size, model.mtime_ns)

    def compute(
        self,
        path: Path,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Hashes:
        """Hash a file, or return what is known.

        ``cancelled`` is asked between blocks of 4 MiB; :class:`Cancelled` is raised then, and a later call goes on from
        there. Raises :class:`Conflict` when the file changes meanwhile.
        """
        if path.is_dir():
            raise InvalidInput(f"{path.name} is a folder; only files have a hash", field="model")
        stat = path.stat()
        known = self.get(path, stat.st_size, stat.st_mtime_ns)
        if known is not None:
            return known
        state = self._resume(path, stat)
        data_start = _data_start(path)
        with path.open("rb", buffering=0) as file:
            file.seek(state.done)
            buffer = bytearray(_CHUNK_BYTES)
            while count := file.readinto(buffer):
                block = memoryview(buffer)[:count]
                state.whole.update(block)
                skip = max(0, data_start - state.done)
                if data_start and skip < count:
                    state.data.update(block[skip:])
                state.done += count
                if progress is not None:
                    progress(state.done, stat.st_size)
                if cancelled():
                    raise Cancelled(f"hashing {path.name} was stopped")
        after = path.stat()
        with self._lock:
            self._partial.pop(path, None)
        if (after.st_size, after.st_mtime_ns) != (stat.st_size, stat.st_mtime_ns) or state.done != stat.st_size:
            raise Conflict(f"{path.name} changed while it was hashed")
        digest = state.whole.hexdigest()
        hashes = Hashes(
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            sha256=digest,
            autov1=_autov1(path),
            autov2=digest[:10],
            autov3=state.data.hexdigest()[:12] if data_start else "",
        )
        self._remember(path, hashes)
        return hashes

    def _resume(self, path: Path, stat: os.stat_result) -> _Partial:
        with self._lock:
            state = self._partial.get(path)
            if state is None or (state.size, state.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
                state = _Partial(stat.st_size, stat.st_mtime_ns, 0, hashlib.sha256(), hashlib.sha256())
                self._partial[path] = state
            return state

    def _remember(self, path: Path, hashes: Hashes) -> None:
        with self._lock:
            self._known = {**self._known, str(path): hashes}
            if self._path is not None:
                with atomic_file(self._path) as stream:
                    stream.write(msgspec.json.encode(self._known))

    def _load(self) -> dict[str, Hashes]:
        if self._path is None:
            return {}
        try:
            return _decoder.decode(self._path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return {}


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """The SHA-256 of a file as it is now, whatever is known of it and whatever it holds. Raises OSError."""
    digest, total, done = hashlib.sha256(), path.stat().st_size, 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_CHUNK_BYTES):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()


def _data_start(path: Path) -> int:
    """Where a safetensors file's data begins; 0 for other files, which have no AutoV3."""
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) < 9 or start[8:] != b"{":
        return 0
    header = read_header(path)
    return header.data_offset if header.format is ModelFormat.SAFETENSORS else 0


def _autov1(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(_V1_START)
        return hashlib.sha256(file.read(_V1_LENGTH)).hexdigest()[:8]
