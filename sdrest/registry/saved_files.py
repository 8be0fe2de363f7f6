"""Presets and prompt templates under another name, and their end."""

from __future__ import annotations

from pathlib import Path

from sdrest.core.errors import Conflict, Forbidden, InsufficientStorage, InvalidInput
from sdrest.core.files import name_new
from sdrest.core.model import TEXT_TYPES, Model
from sdrest.registry.folders import Folders
from sdrest.registry.presets import checked_name


def rename(folders: Folders, model: Model, name: str) -> Path:
    """Give the file of a preset or template another name, never over another one; where it is now.

    Raises:
        InvalidInput: it is neither, or the name cannot be one.
        Forbidden: as :func:`remove`.
        Conflict: the name is taken.
        InsufficientStorage: the folder cannot be written to.
    """
    path = _own_file(folders, model)
    target = path.with_name(f"{checked_name(name)}{path.suffix}")
    kind = folders.for_type(model.type)
    if target != path and any(target.with_suffix(ending).exists() for ending in kind.extensions):
        raise Conflict(f"{target.stem} exists already")
    if target != path:
        try:
            name_new(path, target)
            path.unlink(missing_ok=True)
        except FileExistsError:
            raise Conflict(f"{target.stem} exists already") from None
        except OSError as error:
            raise InsufficientStorage(f"{path} cannot be renamed: {error.strerror}") from error
    return target


def remove(folders: Folders, model: Model) -> None:
    """Delete the file of a preset or template.

    Raises:
        InvalidInput: it is neither.
        Forbidden: it lies where nothing is written: in a folder of another program, for example.
        InsufficientStorage: the folder cannot be written to.
    """
    path = _own_file(folders, model)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InsufficientStorage(f"{path} cannot be removed: {error.strerror}") from error


def _own_file(folders: Folders, model: Model) -> Path:
    if not model.type & TEXT_TYPES:
        raise InvalidInput(f"{model.name} is no preset or prompt template")
    own = folders.primary(folders.for_type(model.type)).resolve()
    if not model.path.parent.resolve().is_relative_to(own):
        raise Forbidden(f"{model.path} is not in {own}, and nothing is changed elsewhere")
    return model.path
