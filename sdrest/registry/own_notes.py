"""Writing beside a model what somebody here says of it: notes, and the picture that it is shown with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from sdrest.core.errors import Conflict, Forbidden, InvalidInput
from sdrest.core.files import atomic_file
from sdrest.core.model import Model
from sdrest.registry.folders import Folders
from sdrest.registry.sidecars import NOTES_LIMIT

_NOTES, _PREVIEW = ".json", ".preview.png"


def may_write_beside(folders: Folders, model: Model) -> bool:
    """Whether something can be written of a model: it did not come with the program, and lies in our own folders or is borrowed."""
    if model.lender:
        return folders.notes_dir is not None
    try:
        folders.confine(model.path)
    except Forbidden:
        return False
    return True


def save_notes(folders: Folders, model: Model, text: str) -> None:
    """Put ``text`` into ``NAME.json`` beside the model as ``notes``; whatever else that file holds stays. Empty: take them away.

    Raises:
        Forbidden: the model came with the program.
        InvalidInput: the text is too long.
        Conflict: the file cannot be written, or is there and is no JSON object.
        InsufficientStorage: the disk is full.
    """
    if len(text) > NOTES_LIMIT:
        raise InvalidInput(f"at most {NOTES_LIMIT} characters", field="notes")
    change_notes(folders, model, {"notes": text.replace("\r\n", "\n").strip()})


def change_notes(folders: Folders, model: Model, changes: Mapping[str, object]) -> Path:
    """Change some fields of ``NAME.json`` beside the model (of a borrowed one: in our own folder); whatever else it holds stays.

    Args:
        folders: The model folders.
        model: The model.
        changes: Values by field. Within an object each key is changed for itself. What is empty goes.

    Returns:
        The file.

    Raises:
        Forbidden, Conflict, InsufficientStorage: as :func:`save_notes`.
    """
    path = _beside(folders, model, _NOTES)
    changed = _changed(_object_in(path), changes)
    _write(path, msgspec.json.format(msgspec.json.encode(changed)))
    return path


def _changed(known: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    found = dict(known)
    for key, value in changes.items():
        before = found.pop(key, None)
        if isinstance(value, Mapping):
            value = _changed(before if isinstance(before, Mapping) else {}, value)  # noqa: PLW2901 - the same, merged
        if value not in ("", None, {}, []):
            found[key] = value
    return found


def save_preview(folders: Folders, model: Model, png: bytes) -> None:
    """Make a PNG picture the one that the model is shown with, in the place of one that was chosen before.

    Raises:
        Forbidden, Conflict, InsufficientStorage: as :func:`save_notes`.
    """
    _write(_beside(folders, model, _PREVIEW), png)


def _beside(folders: Folders, model: Model, ending: str) -> Path:
    if not may_write_beside(folders, model):
        raise Forbidden(f"{model.name} lies outside the model folders: nothing is written beside it", model=model.id)
    if model.lender and folders.notes_dir is not None:
        return folders.notes_dir / (model.id + ending)
    return model.path.with_name(model.stem + ending)


def _object_in(path: Path) -> dict[str, object]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Conflict(f"{path.name} is there and cannot be read as a JSON object; it is left as it is")
    return found


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as stream:
            stream.write(data)
    except OSError as error:
        raise Conflict(f"{path.name} cannot be written: {error.strerror}") from None
