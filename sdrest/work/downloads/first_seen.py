"""Hashes of files that no catalogue knows the hash of: noted at their first download, compared at every later one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import msgspec

from sdrest.core.files import atomic_file

_FILE: Final = ".first-seen-hashes.json"


class FirstSeen:
    """SHA-256 by source, in a file among the models. Its methods block.

    Args:
        file: Where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def sha256(self, source: str) -> str:
        """What was seen; empty where nothing was."""
        return self._read().get(source, "")

    def note(self, source: str, sha256: str) -> None:
        """Keep what was seen, unless something was seen before."""
        with self._lock:
            known = self._read()
            if source not in known:
                with atomic_file(self._file) as file:
                    file.write(msgspec.json.format(msgspec.json.encode({**known, source: sha256})))

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError):
            return {}


def first_seen_in(models_dir: Path) -> FirstSeen:
    """The hashes noted among these models."""
    return FirstSeen(models_dir / _FILE)
