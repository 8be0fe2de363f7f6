"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sdrest.core.errors import DISK_FULL, InsufficientStorage, NotFound


@contextlib.contextmanager
def atomic_file(target: Path, *, mode: int = 0o666, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """A file to write to that appears as ``target`` when the block ends without an exception, and otherwise leaves no trace.

    Args:
        target: The file's name; its folder is made when it is missing.
        mode: Permissions from the file's first moment, less those that the process's umask takes away.
        overwrite: Whether the file takes the place of one that is there.

    Raises:
        InsufficientStorage: the disk is full.
        FileExistsError: ``target`` exists by now and is not to be overwritten.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            unfinished(target, overwrite=overwrite) as path,
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream,
        ):
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        if disk_is_full(error):
            raise InsufficientStorage(f"the disk of {target.parent} is full") from error
        raise


@contextlib.contextmanager
def unfinished(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A hidden name beside ``target``: what is written under it becomes ``target`` when the block ends without an exception,
    and otherwise goes. :func:`remove_unfinished` finds what a killed process left.

    Raises:
        FileExistsError: ``target`` exists by now and is not to be overwritten.
    """
    path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.{os.getpid()}.part")
    try:
        yield path
        if overwrite:
            path.replace(target)
        else:
            name_new(path, target)
    finally:
        path.unlink(missing_ok=True)


def remove_unfinished(target: Path) -> None:
    """Remove what processes that no longer run left of ``target``."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and not _is_running(int(process)):
            path.unlink(missing_ok=True)


def name_new(path: Path, target: Path) -> None:
    """Give a finished file the name ``target`` in one step, never over another file; it may keep its old name as well.

    Raises:
        FileExistsError: ``target`` exists.
    """
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: the name is taken first, and what then lies under it is ours to replace.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        path.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make new names last; not every file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def disk_is_full(error: OSError) -> bool:
    """Whether an error means that the disk, or the user's share of it, has no room left."""
    return error.errno in DISK_FULL


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


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
