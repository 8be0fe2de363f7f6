"""What is in a model file, whatever it is called and wherever it lies: an identity that is cheap to have.

Files of up to 8 MiB are read as a whole; of a larger one the first and the last MiB (headers are there) and 64 pieces of 64 KiB
between them, and its size counts. What is changed between the pieces, with the size kept, is not seen.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Final

_WHOLE_BYTES: Final = 8 << 20
_EDGE_BYTES: Final = 1 << 20
_PIECES: Final = 64
_PIECE_BYTES: Final = 64 << 10


def content_id(path: Path) -> str:
    """The identity of a file, or of a folder with all its files; reads, so not for the event loop.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(item for item in path.rglob("*") if item.is_file()):
            digest.update(f"{file.relative_to(path)}\0{content_id(file)}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()
    with path.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        digest.update(size.to_bytes(8, "big"))
        for start, length in _parts(size):
            stream.seek(start)
            left = length
            while left > 0 and (block := stream.read(min(left, _EDGE_BYTES))):
                digest.update(block)
                left -= len(block)
    return digest.hexdigest()


def _parts(size: int) -> list[tuple[int, int]]:
    """What is read of a file, as (start, length)."""
    if size <= _WHOLE_BYTES:
        return [(0, size)]
    between = size - 2 * _EDGE_BYTES - _PIECE_BYTES
    pieces = [(_EDGE_BYTES + between * number // (_PIECES - 1), _PIECE_BYTES) for number in range(_PIECES)]
    return [(0, _EDGE_BYTES), *pieces, (size - _EDGE_BYTES, _EDGE_BYTES)]


class Contents:
    """Known identities, as long as a file keeps its size and time; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[int, int], str]] = {}

    def of(self, path: str) -> str:
        """See :func:`content_id`. A folder is always read anew."""
        stat = Path(path).stat()
        state = (stat.st_size, stat.st_mtime_ns)
        known = self._known.get(path)
        if known is not None and known[0] == state and not Path(path).is_dir():
            return known[1]
        found = content_id(Path(path))
        with self._lock:
            self._known[path] = (state, found)
        return found
