"""Many files as one ZIP file, made piece by piece: no more than a piece of it is ever in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

_PIECE: Final = 256 * 1024
_FIRST_YEAR: Final = 1980


@dataclass(frozen=True, slots=True)
class Entry:
    """A file on the disk and what it is called in the ZIP file."""

    path: Path
    name: str
    made_at: datetime


class _Written(io.RawIOBase):
    """What has been written since it was last taken."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces += piece
        return len(piece)

    def take(self) -> bytes:
        data = bytes(self._pieces)
        self._pieces.clear()
        return data


def zip_pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The ZIP file of ``entries``, in pieces; pictures and videos are compressed already, so they are stored as they are. Blocks.

    Raises:
        OSError: a file cannot be read.
    """
    written = _Written()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for entry in entries:
            when = entry.made_at
            info = zipfile.ZipInfo(entry.name, (max(when.year, _FIRST_YEAR), *when.timetuple()[1:6]))
            info.external_attr = 0o644 << 16
            with entry.path.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                while piece := source.read(_PIECE):
                    target.write(piece)
                    yield written.take()
    yield written.take()
