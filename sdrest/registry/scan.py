"""Walking the model folders: only files that are new or changed are read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdrest.core.model import Model
from sdrest.registry.folders import DEPTH_LIMIT, Folder, Folders
from sdrest.registry.inspect import inspect_model
from sdrest.registry.reading import DIFFUSERS_PARTS, is_diffusers_folder
from sdrest.registry.sidecars import sidecar_names

Signature = tuple[int, ...]
"""Size and time of a model's file, then of each side file: equal signatures mean nothing to read."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """One model and the signature under which it was read."""

    model: Model
    signature: Signature


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found, by path; ``skipped`` tells in words what was left out; ``read`` counts files read anew."""

    entries: Mapping[Path, Scanned]
    skipped: tuple[str, ...] = ()
    read: int = 0

    @property
    def models(self) -> tuple[Model, ...]:
        """All models found."""
        return tuple(entry.model for entry in self.entries.values())


@dataclass(slots=True)
class _Walk:
    """State of one scan."""

    roots: tuple[str, ...]
    skipped: list[str] = field(default_factory=list)
    visited: set[tuple[int, int]] = field(default_factory=set)


def scan(
    folders: Folders,
    known: Mapping[Path, Scanned] | None = None,
    *,
    link_roots: Sequence[Path] = (),
    cancelled: Callable[[], bool] = lambda: False,
) -> ScanResult:
    """Look through all model folders.

    ``known`` are the entries of an earlier scan; those whose signature is unchanged are kept as they are. Symbolic
    links are followed only to places inside the model folders or ``link_roots``. Folders in the diffusers layout are
    one model each. Costs one directory walk, plus one header for each new or changed file.
    """
    known = known or {}
    found = folders.all()
    roots = {str(folder.path.resolve()) for folder in found} | {str(root.resolve()) for root in link_roots}
    walk = _Walk((str(folders.models_dir.resolve()), *roots))
    entries: dict[Path, Scanned] = {}
    read = 0
    for folder in found:
        for candidate in _candidates(folder, walk):
            if cancelled():
                return ScanResult(entries, tuple(walk.skipped), read)
            path, stat, signature, beside = candidate
            if path in entries:
                continue
            before = known.get(path)
            if before is not None and before.signature == signature:
                entries[path] = before
                continue
            relative = _relative_path(folders, folder, path)
            entries[path] = Scanned(inspect_model(path, folder.kind, relative, stat, beside), signature)
            read += 1
    return ScanResult(entries, tuple(walk.skipped), read)


_Candidate = tuple[Path, os.stat_result, Signature, frozenset[str]]


def _candidates(folder: Folder, walk: _Walk) -> Iterator[_Candidate]:
    pending: list[tuple[Path, int]] = [(folder.path, 0)]
    while pending:
        directory, depth = pending.pop()
        entries = _list(directory, walk)
        beside = frozenset(entry.name for entry in entries)
        by_name = {entry.name: entry for entry in entries}
        for entry in entries:
            try:
                if entry.name.startswith(".") or not _allowed(entry, walk):
                    continue
                if entry.is_dir():
                    path = Path(entry.path)
                    if is_diffusers_folder(path):
                        yield _diffusers(path, beside)
                    elif depth < DEPTH_LIMIT:
                        pending.append((path, depth + 1))
                    else:
                        walk.skipped.append(f"{entry.path}: more than {DEPTH_LIMIT} folders deep")
                elif entry.name.lower().endswith(folder.kind.extensions) and entry.is_file():
                    yield _file(entry, by_name, beside)
            except OSError as error:
                walk.skipped.append(f"{entry.path}: {error.strerror}")


def _list(directory: Path, walk: _Walk) -> list[os.DirEntry[str]]:
    """The directory's entries by name; empty for one seen before (links may form circles) or that cannot be read."""
    try:
        stat = directory.stat()
        if (stat.st_dev, stat.st_ino) in walk.visited:
            return []
        walk.visited.add((stat.st_dev, stat.st_ino))
        with os.scandir(directory) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        walk.skipped.append(f"{directory}: {error.strerror}")
        return []


def _allowed(entry: os.DirEntry[str], walk: _Walk) -> bool:
    if not entry.is_symlink():
        return True
    target = os.path.realpath(entry.path)
    if any(target == root or target.startswith(root + os.sep) for root in walk.roots):
        return True
    walk.skipped.append(f"{entry.path}: links to {target}, outside the model folders")
    return False


def _file(entry: os.DirEntry[str], by_name: Mapping[str, os.DirEntry[str]], beside: frozenset[str]) -> _Candidate:
    stat = entry.stat()
    signature: list[int] = [stat.st_size, stat.st_mtime_ns]
    stem = entry.name.rpartition(".")[0]
    for name in sidecar_names(stem):
        if name in beside:
            side = by_name[name].stat()
            signature += (side.st_size, side.st_mtime_ns)
    return Path(entry.path), stat, tuple(signature), beside


def _diffusers(path: Path, beside: frozenset[str]) -> _Candidate:
    signature: list[int] = []
    for part, _prefix in DIFFUSERS_PARTS:
        if (path / part).is_file():
            stat = (path / part).stat()
            signature += (stat.st_size, stat.st_mtime_ns)
    return path, (path / DIFFUSERS_PARTS[0][0]).stat(), tuple(signature), beside


def _relative_path(folders: Folders, folder: Folder, path: Path) -> str:
    if path.is_relative_to(folders.models_dir):
        return path.relative_to(folders.models_dir).as_posix()
    return f"{folder.kind.key}/{path.relative_to(folder.path).as_posix()}"
