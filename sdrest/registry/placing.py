"""Where a file that comes from outside goes, and whether it may: names, confinement, and what its header says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sdrest.core.errors import Conflict, InvalidInput, ModelUnusable, did_you_mean
from sdrest.core.model import TEXT_TYPES, ModelType, parse_model_types
from sdrest.registry.folders import BY_KEY, DEPTH_LIMIT, FolderKind, Folders
from sdrest.registry.presets import read_preset, read_templates
from sdrest.registry.recognition.inspect import inspect_model

_MAX_NAME_BYTES: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def kind_of(text: str) -> FolderKind:
    """The kind of folder that a model type or a folder's key names.

    Raises:
        InvalidInput: none; names the field ``type``.
    """
    wanted = text.strip().lower()
    if wanted in BY_KEY:
        return BY_KEY[wanted]
    types = parse_model_types(wanted) if wanted and not wanted.isdecimal() else None
    if types is not None and len(types) == 1:
        return _home(types)
    known = tuple(BY_KEY)
    problem = f"unknown model type {wanted!r}{did_you_mean(wanted, known)}" if wanted else "choose a type"
    raise InvalidInput(f"{problem}; known: {', '.join(known)}", field="type")


def place(folders: Folders, kind: FolderKind, path: str, name: str) -> Path:
    """The file that a new model becomes, within the folder of its kind; links are resolved.

    Args:
        folders: The model folders.
        kind: The one that it goes to.
        path: Sub-folder, file name, or both, relative to that folder, with ``/`` between; a last part with another ending than
            a model's is a sub-folder.
        name: The file's name where ``path`` gives none.

    Raises:
        InvalidInput: a name that no model file has, or that leads out of the folder.
        Conflict: the file exists.
    """
    parts = [part for part in path.split("/") if part] if path.strip() else []
    if path.startswith("/"):
        raise InvalidInput("must be relative to the folder of the type", field="path")
    for part in parts:
        _check_name(part, "path")
    if not (parts and not path.endswith("/") and parts[-1].lower().endswith(kind.extensions)):
        if not name:
            raise InvalidInput("the file's name is not known; give one", field="path")
        _check_name(name, "file")
        parts.append(name)
    if not parts[-1].lower().endswith(kind.extensions):
        endings = " ".join(kind.extensions)
        raise InvalidInput(f"{parts[-1]!r} has no ending of a file of type {kind.key}: {endings}", field="file")
    if len(parts) > DEPTH_LIMIT:
        raise InvalidInput(f"more than {DEPTH_LIMIT} folders deep", field="path")
    root = folders.primary(kind).resolve()
    try:
        target = root.joinpath(*parts[:-1]).resolve() / parts[-1]
        exists = target.exists() or target.is_symlink()
    except OSError as error:
        raise InvalidInput(f"no file can have this name: {error.strerror}", field="path") from None
    if not target.is_relative_to(root):
        raise InvalidInput(f"leads out of the folder of the type {kind.key}", field="path")
    if exists:
        raise already_there(target)
    return target


def already_there(target: Path) -> Conflict:
    """The error for a target that exists: nothing is ever overwritten."""
    return Conflict(f"{target.name} exists already in {target.parent.name}; nothing is overwritten", field="path")


def _check_name(name: str, field: str) -> None:
    if name.startswith(".") or name != name.strip() or "/" in name or "\\" in name or _CONTROL.search(name):
        raise InvalidInput(f"{name!r} is no plain name: no '..', leading dot, path or control character", field=field)
    if len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
        raise InvalidInput(f"a name has at most {_MAX_NAME_BYTES} bytes", field=field)


def accept(file: Path, kind: FolderKind, name: str) -> None:
    """Do nothing for a whole and sound file that belongs in a folder of this kind. Reads the header.

    Args:
        file: The file, still under another name, with the ending it is going to have.
        kind: Where it is going.
        name: The name to speak of it by.

    Raises:
        ModelUnusable: it cannot be used; says why.
        InvalidInput: it is a model of another type; names the field ``type``.
    """
    if kind.type & TEXT_TYPES:
        try:
            _ = read_preset(file) if kind.type is ModelType.PRESETS else read_templates(file)
        except ModelUnusable as error:
            raise ModelUnusable(error.message.replace(file.name, name)) from None
        return
    model = inspect_model(file, kind, name, file.stat())
    fatal = [problem.message.replace(file.name, name) for problem in model.problems if problem.fatal]
    if fatal:
        raise ModelUnusable(fatal[0] if fatal[0].startswith(name) else f"{name}: {fatal[0]}")
    if not model.type & kind.types:
        right = _home(model.type).key
        raise InvalidInput(f"{name} is of type {model.type.slug}: it belongs in {right}", field="type")


def _home(wanted: ModelType) -> FolderKind:
    """The kind of folder for files of one type."""
    own = (kind for kind in BY_KEY.values() if kind.type is wanted)
    return next(own, None) or next(kind for kind in BY_KEY.values() if wanted & kind.types)
