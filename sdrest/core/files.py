"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sdrest.core.errors import DISK_FULL, InsufficientStorage, NotFound


@contextlib.contextmanager
def atomic_file(target: Path) -> Iterator[IO[bytes]]:
    """A file to write to that appears as ``target`` when the block ends without an exception, and otherwise leaves no trace.

    Raises:
        InsufficientStorage: the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise InsufficientStorage(f"the disk of {target.parent} is full") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def confined(root: Path, *parts: str) -> Path:
    """``root/parts`` when that lies within ``root``, symbolic links followed.

    Raises:
        NotFound: it would lie outside, or a part is not a plain name.
    """
    path = root.joinpath(*parts)
    if any(part in {"", ".", ".."} or "\0" in part for part in parts) or not path.resolve().is_relative_to(
        root.resolve()
    ):
        raise NotFound("no such file")
    return path


def existing(root: Path, *parts: str) -> Path:
    """As :func:`confined`, for a file that is there.

    Raises:
        NotFound: it lies outside, or has been removed.
    """
    path = confined(root, *parts)
    if not path.is_file():
        raise NotFound(f"the file {parts[-1]!r} has been removed")
    return path
