"""Walking the model folders: only files that are new or changed are read again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from sdrest.core.files import atomic_file
from sdrest.core.model import Model, ModelType
from sdrest.registry.folders import DEPTH_LIMIT, Folder, Folders
from sdrest.registry.links import LinkRule, link_rule
from sdrest.registry.readers.reading import DIFFUSERS_PARTS, is_diffusers_folder
from sdrest.registry.recognition.inspect import inspect_model, model_id
from sdrest.registry.sidecars import notes_file, sidecar_names

#: File systems keep times in steps of up to this: a folder changed within it may change again without a new time.
_COARSEST_TIME_NS: Final = 2_000_000_000

Signature = tuple[int, ...]
"""Size and time of a model's file, then of each side file: equal signatures mean nothing to read."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """One model and the signature under which it was read."""

    model: Model
    signature: Signature


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found, by path; ``skipped`` tells in words what was left out; ``read`` counts files read anew.

    ``directories`` holds every folder that was looked into with its time (ns) just before; 0 for one that is not there,
    -1 for one so young that a later change might not show in its time.
    """

    entries: Mapping[Path, Scanned]
    skipped: tuple[str, ...] = ()
    read: int = 0
    directories: Mapping[str, int] = field(default_factory=dict)

    @property
    def models(self) -> tuple[Model, ...]:
        """All models found."""
        return tuple(entry.model for entry in self.entries.values())


@dataclass(slots=True)
class _Walk:
    """State of one scan."""

    links: LinkRule
    #: Where what is written of borrowed models lies.
    notes_dir: Path | None = None
    skipped: list[str] = field(default_factory=list)
    visited: set[tuple[int, int]] = field(default_factory=set)
    directories: dict[str, int] = field(default_factory=dict)

    def notes_on(self, folder: Folder, relative_path: str) -> Path | None:
        """The file with what is written here of a borrowed model; None for our own, whose notes lie beside them."""
        if not folder.lender or self.notes_dir is None:
            return None
        if str(self.notes_dir) not in self.directories:
            self.note(self.notes_dir)
        return notes_file(self.notes_dir, model_id(folder.kind, relative_path))

    def note(self, directory: Path) -> os.stat_result | None:
        """Keep the directory's time before it is read; None when it is not there."""
        try:
            stat = directory.stat()
        except OSError:
            self.directories[str(directory)] = 0
            return None
        is_settled = time.time_ns() - stat.st_mtime_ns > _COARSEST_TIME_NS
        self.directories[str(directory)] = stat.st_mtime_ns if is_settled else -1
        return stat


def scan(
    folders: Folders,
    known: Mapping[Path, Scanned] | None = None,
    *,
    follow_links: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
) -> ScanResult:
    """Look through all model folders.

    ``known`` are the entries of an earlier scan; those whose signature is unchanged are kept as they are. Symbolic
    links that lead out of the model folders are followed as :class:`LinkRule` has it. Folders in the diffusers layout
    are one model each. Costs one directory walk, plus one header for each new or changed file.
    """
    known = known or {}
    walk = _Walk(link_rule(folders, follow=follow_links), folders.notes_dir if folders.lenders else None)
    walk.note(folders.models_dir)
    entries: dict[Path, Scanned] = {}
    read = 0
    for folder in _every_folder(folders, walk):
        for candidate in _candidates(folder, walk):
            if cancelled():
                return ScanResult(entries, tuple(walk.skipped), read, walk.directories)
            path, stat, signature, beside = candidate
            if path in entries:
                continue
            relative = _relative_path(folders, folder, path)
            notes = walk.notes_on(folder, relative)
            signature += _state_of(notes)
            before = known.get(path)
            # The same file under another label is another model.
            if before is not None and before.signature == signature and before.model.lender == folder.lender:
                entries[path] = Scanned(_titled(before.model, folder), signature)
                continue
            model = inspect_model(path, folder.kind, relative, stat, beside, notes)
            entries[path] = Scanned(_titled(replace(model, lender=folder.lender), folder), signature)
            read += 1
    return ScanResult(entries, tuple(walk.skipped), read, walk.directories)


def _every_folder(folders: Folders, walk: _Walk) -> Iterator[Folder]:
    """Our own folders, then those of other programs that may be read."""
    yield from folders.all()
    borrowed, problems = folders.borrowed()
    walk.skipped += problems
    for folder in borrowed:
        try:
            refusal = walk.links.refusal(str(folder.path))
        except OSError as error:
            refusal = error.strerror
        if refusal is None:
            yield folder
        else:
            walk.skipped.append(f"{folder.path}: {refusal}")


def _titled(model: Model, folder: Folder) -> Model:
    """The model with the name that its program gives it."""
    if not folder.lender:
        return model
    return replace(model, name=folder.titles.get(str(model.path), model.stem))


def skipped(folders: Folders, *, follow_links: bool = False) -> tuple[str, ...]:
    """What a scan would leave out, in words. Reads no file."""
    walk = _Walk(link_rule(folders, follow=follow_links))
    for folder in _every_folder(folders, walk):
        for _ in _candidates(folder, walk):
            pass
    return tuple(walk.skipped)


_Candidate = tuple[Path, os.stat_result, Signature, frozenset[str]]


def _candidates(folder: Folder, walk: _Walk) -> Iterator[_Candidate]:
    pending: list[tuple[Path, int]] = [(folder.path, 0)]
    while pending:
        directory, depth = pending.pop()
        entries = [
            entry for entry in _list(directory, walk) if _counts(entry, folder, depth) and _allowed(entry, folder, walk)
        ]
        beside = frozenset(entry.name for entry in entries)
        by_name = {entry.name: entry for entry in entries}
        for entry in entries:
            try:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    path = Path(entry.path)
                    if is_diffusers_folder(path):
                        if _parts_allowed(path, walk):
                            yield _diffusers(path, by_name, beside, walk)
                    elif depth < DEPTH_LIMIT:
                        pending.append((path, depth + 1))
                    else:
                        walk.skipped.append(f"{entry.path}: more than {DEPTH_LIMIT} folders deep")
                elif entry.name.lower().endswith(folder.kind.extensions) and entry.is_file():
                    yield _file(entry, by_name, beside)
            except OSError as error:
                walk.skipped.append(f"{entry.path}: {error.strerror}")


def _counts(entry: os.DirEntry[str], folder: Folder, depth: int) -> bool:
    return depth > 0 or folder.only is None or entry.name in folder.only


def _list(directory: Path, walk: _Walk) -> list[os.DirEntry[str]]:
    """The directory's entries by name; empty for one seen before (links may form circles) or that cannot be read."""
    try:
        stat = walk.note(directory)
        if stat is None or (stat.st_dev, stat.st_ino) in walk.visited:
            return []
        walk.visited.add((stat.st_dev, stat.st_ino))
        with os.scandir(directory) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        walk.skipped.append(f"{directory}: {error.strerror}")
        return []


def _allowed(entry: os.DirEntry[str], folder: Folder, walk: _Walk) -> bool:
    """Whether the entry may be read; a link that may not is noted if it could have been a model or a folder of some."""
    try:
        if not entry.is_symlink():
            return True
        refusal = walk.links.refusal(entry.path)
        could_be_model = not entry.name.startswith(".") and (
            entry.name.lower().endswith(folder.kind.extensions) or entry.is_dir()
        )
        if refusal is None and not Path(entry.path).exists():
            refusal = f"links to {os.path.realpath(entry.path)}, which is not there"
    except OSError as error:  # a link to itself, above all
        refusal, could_be_model = error.strerror, True
    if refusal is not None and could_be_model:
        walk.skipped.append(f"{entry.path}: {refusal}")
    return refusal is None


def _parts_allowed(path: Path, walk: _Walk) -> bool:
    """Whether all that makes up a folder in the diffusers layout may be read: its parts may be links themselves."""
    for part, _prefix in DIFFUSERS_PARTS:
        for inner in ((path / part).parent, path / part):
            refusal = walk.links.refusal(str(inner)) if inner.is_symlink() else None
            if refusal is not None:
                walk.skipped.append(f"{inner}: {refusal}")
                return False
    return True


def _file(entry: os.DirEntry[str], by_name: Mapping[str, os.DirEntry[str]], beside: frozenset[str]) -> _Candidate:
    stat = entry.stat()
    stem = entry.name.rpartition(".")[0]
    return Path(entry.path), stat, (stat.st_size, stat.st_mtime_ns, *_side_files(stem, by_name)), beside


def _diffusers(path: Path, by_name: Mapping[str, os.DirEntry[str]], beside: frozenset[str], walk: _Walk) -> _Candidate:
    signature: list[int] = []
    walk.note(path)
    for part, _prefix in DIFFUSERS_PARTS:
        walk.note((path / part).parent)
        if (path / part).is_file():
            stat = (path / part).stat()
            signature += (stat.st_size, stat.st_mtime_ns)
    signature += _side_files(path.name, by_name)
    return path, (path / DIFFUSERS_PARTS[0][0]).stat(), tuple(signature), beside


def _side_files(stem: str, by_name: Mapping[str, os.DirEntry[str]]) -> Iterator[int]:
    """Sizes and times of the files that belong to a model of this stem."""
    for name in sidecar_names(stem):
        if name in by_name:
            stat = by_name[name].stat()
            yield stat.st_size
            yield stat.st_mtime_ns


def _state_of(file: Path | None) -> Signature:
    try:
        stat = file.stat() if file is not None else None
    except OSError:
        return ()
    return (stat.st_size, stat.st_mtime_ns) if stat is not None else ()


def _relative_path(folders: Folders, folder: Folder, path: Path) -> str:
    if folder.lender:
        return f"{folder.lender}:{folder.kind.key}/{path.relative_to(folder.path).as_posix()}"
    if path.is_relative_to(folders.models_dir):
        return path.relative_to(folders.models_dir).as_posix()
    return f"{folder.kind.key}/{path.relative_to(folder.path).as_posix()}"


#: Raised whenever identification or the record changes: older caches are then dropped.
CACHE_VERSION = 9


class _Entry(msgspec.Struct):
    signature: tuple[int, ...]
    model: Model


class _Cache(msgspec.Struct):
    version: int
    entries: list[_Entry]


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _decode(kind: type, value: Any) -> Any:
    if kind is Path or issubclass(kind, Path):
        return Path(value)
    if kind is ModelType:
        return ModelType(value)
    raise NotImplementedError(kind)


_encoder = msgspec.json.Encoder(enc_hook=_encode)
_decoder = msgspec.json.Decoder(_Cache, dec_hook=_decode)


def load_entries(path: Path) -> dict[Path, Scanned]:
    """The entries of an earlier scan; none when the file is missing, damaged or of another version."""
    try:
        cache = _decoder.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, ValueError):
        return {}
    if cache.version != CACHE_VERSION:
        return {}
    return {entry.model.path: Scanned(entry.model, entry.signature) for entry in cache.entries}


def save_entries(path: Path, entries: Mapping[Path, Scanned]) -> None:
    """Write the entries, replacing the file in one step."""
    content = _encoder.encode(_Cache(CACHE_VERSION, [_Entry(e.signature, e.model) for e in entries.values()]))
    with atomic_file(path) as stream:
        stream.write(content)
