"""Reading what a conversion or a comparison needs of its files: whole headers, and tensors piece by piece."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from sdrest.conversion.ggml import Bytes
from sdrest.core.errors import Conflict, ModelUnusable
from sdrest.registry.readers.header import Header
from sdrest.registry.readers.layout import check_layout
from sdrest.registry.readers.reading import read_header


def readable_header(path: Path) -> Header:
    """The header of a file all of whose tensors can be read. Raises :class:`ModelUnusable` or :class:`HeaderError`."""
    header = read_header(path)
    for problem in check_layout(header):
        if problem.fatal or problem.code == "compressed":
            raise ModelUnusable(f"{path.name}: {problem.message}", problem=problem.code)
    return header


class Sources:
    """The source files, each opened once; reading is safe from several threads."""

    def __init__(self) -> None:
        self._files: dict[Path, tuple[int, os.stat_result]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor, _ in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def read(self, path: Path, offset: int, count: int) -> Bytes:
        """``count`` bytes from ``offset``. Raises :class:`ModelUnusable` when the file ends before."""
        buffer = np.empty(count, dtype=np.uint8)
        view = buffer.data
        descriptor = self._open(path)
        done = 0
        while done < count:
            step = os.preadv(descriptor, [view[done:]], offset + done)
            if step == 0:
                raise ModelUnusable(f"{path.name} ends before its tensors do")
            done += step
        return buffer

    def check_unchanged(self) -> None:
        """Raise :class:`Conflict` when a file was changed since it was opened."""
        for path, (_, before) in self._files.items():
            after = path.stat()
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise Conflict(f"{path.name} changed while it was read")

    def _open(self, path: Path) -> int:
        with self._lock:
            known = self._files.get(path)
            if known is None:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                known = self._files[path] = (descriptor, os.fstat(descriptor))
            return known[0]
