"""Thumbnails that have been made before: a page of the gallery asks for dozens, each time it is looked at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from sdrest.core import bounds
from sdrest.outputs.pictures import thumbnail_jpeg

#: Path, time of the last change, size in bytes, side in pixels.
_Key = tuple[Path, int, int, int]


class Thumbnails:
    """Keeps the thumbnails that were asked for last, up to ``max_bytes``. Any thread may ask."""

    def __init__(self, max_bytes: int = bounds.THUMBNAIL_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def jpeg(self, path: Path, size_px: int) -> bytes:
        """As :func:`sdrest.outputs.pictures.thumbnail_jpeg`, which is called when the file has changed or is asked for anew.

        Raises:
            InvalidInput: the file is not a picture.
            OSError: there is no such file.
        """
        state = path.stat()
        key = (path, state.st_mtime_ns, state.st_size, size_px)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = thumbnail_jpeg(path, size_px)
        with self._lock:
            self._bytes += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return data
