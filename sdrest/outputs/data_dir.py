"""The folders that a server writes to, and the lock that keeps a second server out of them."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from sdrest.core.errors import Conflict, InvalidInput
from sdrest.core.files import atomic_file
from sdrest.settings import Settings


@asynccontextmanager
async def open_data_dir(settings: Settings) -> AsyncIterator[None]:
    """Make the data folders and hold the lock that keeps a second server out of them.

    Raises:
        InvalidInput: they cannot be written.
        Conflict: another server uses them.
    """
    try:
        for folder in (settings.data_dir, settings.output_dir, settings.spool_dir):
            folder.mkdir(parents=True, exist_ok=True)
        lock = (settings.data_dir / "sdrest.lock").open("a+")
    except OSError as error:
        raise InvalidInput(f"cannot write to {error.filename}: {error.strerror}", field="data_dir") from None
    with lock:
        _lock(lock, settings.data_dir)
        yield


def server_id(settings: Settings) -> str:
    """The id of the server with this data folder, made when there is none yet; to be called while the folder is locked."""
    file = settings.data_dir / "server-id"
    try:
        found = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        found = ""
    if not found:
        found = uuid.uuid4().hex
        with atomic_file(file) as stream:
            stream.write(f"{found}\n".encode())
    return found


def _lock(lock: IO[str], data_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        raise Conflict(f"another server (process {lock.read().strip() or '?'}) uses {data_dir}") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
