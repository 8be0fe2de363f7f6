"""Whether there is room for more files."""

from __future__ import annotations

import shutil
from pathlib import Path

from sdrest.core.errors import InsufficientStorage


class FreeSpace:
    """Keeps some space of the disk of ``folder`` free."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes

    def check(self) -> None:
        """Do nothing while there is room.

        Raises:
            InsufficientStorage: less is free than is to be kept free.
        """
        if not self._min_free_bytes:
            return
        free = shutil.disk_usage(self._folder).free
        if free < self._min_free_bytes:
            raise InsufficientStorage(
                f"the disk of the outputs has {free // 2**20} MiB left, less than the {self._min_free_bytes // 2**20} MiB that "
                "are kept free (setting min_free_bytes)",
                free_bytes=free,
            )
