"""The model folders and the registry that the settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sdrest.registry.builtin import builtin_models
from sdrest.registry.folders import Folders
from sdrest.registry.lending import Lending
from sdrest.registry.registry import Registry
from sdrest.settings import Settings

#: In the data folder: which programs lend models beside those of the settings, and what is written here of their models.
BORROWED_FOLDER: Final = "borrowed"


def folders_of(settings: Settings) -> Folders:
    """The model folders.

    Raises:
        InvalidInput: a setting names a folder that cannot be one.
    """
    return Folders(
        settings.models_dir,
        settings.model_folders,
        Lending(settings.models_from, settings.data_dir.absolute() / BORROWED_FOLDER),
    )


def registry_of(settings: Settings, state_dir: Path | None = None) -> Registry:
    """The registry of these folders, not yet refreshed; ``state_dir`` as for :class:`Registry`. Raises as :func:`folders_of`."""
    return Registry(
        folders_of(settings),
        state_dir,
        follow_links=settings.follows_links,
        aliases=settings.model_aliases,
        builtin=builtin_models(),
    )
