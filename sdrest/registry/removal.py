"""Removing models: which files go, and what would be loaded otherwise, or not at all, without them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdrest.core.errors import Forbidden, InsufficientStorage
from sdrest.core.model import MAIN_TYPES, Component, Model
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.disk_use import parts_taken
from sdrest.registry.folders import Folders
from sdrest.registry.model_sets import ModelSet
from sdrest.registry.registry import Registry
from sdrest.registry.sidecars import sidecar_names

#: Parts of a set by which it is asked for; the others may be parts of several.
_MAIN_PARTS = frozenset({"checkpoint", "diffusion_model", "controlnet", "upscaler", "taesd", "lora"})


@dataclass(frozen=True, slots=True)
class Going:
    """A model that is to go: its file (a link, a folder) with the files beside it that speak of it alone; bytes that get free."""

    model: Model
    paths: tuple[Path, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What the removal does to a model that stays: it is loaded without ``lost``, with ``instead``, or not at all (None)."""

    model: Model
    component: Component
    lost: Model
    instead: Model | None


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal before it happens. ``sets`` are the names of model sets that are here, and would lack a part."""

    going: tuple[Going, ...]
    effects: tuple[Effect, ...]
    sets: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that get free."""
        return sum(item.size for item in self.going)

    @property
    def is_harmful(self) -> bool:
        """Whether something that stays needs what goes."""
        return bool(self.sets) or any(effect.instead is None for effect in self.effects)


def plan_removal(registry: Registry, models: Sequence[Model], sets: Iterable[ModelSet] = ()) -> Removal:
    """What removing ``models`` comes to. Looks at the disk.

    Raises:
        Forbidden: one of them came with the program, or lies elsewhere, reached through a link.
    """
    gone = {model.id for model in models}
    rest = Catalogue(model for model in registry.catalogue.models if model.id not in gone)
    going = tuple(Going(model, *_files(registry, model, gone)) for model in models)
    return Removal(
        going=going,
        effects=tuple(_effects(registry.catalogue, rest)),
        sets=tuple(_sets_that_need(registry.folders, {model.path for model in models}, sets)),
    )


def remove(removal: Removal) -> None:
    """Delete the files. A link goes, what it leads to stays.

    Raises:
        InsufficientStorage: a file cannot be deleted; says which. Those before it are gone.
    """
    for item in removal.going:
        for path in item.paths:
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise InsufficientStorage(f"{path} cannot be removed: {error.strerror}") from None


def models_of_set(registry: Registry, wanted: ModelSet, sets: Iterable[ModelSet]) -> tuple[list[Model], list[Model]]:
    """The models of a set that are here and only it needs, and those that others take, too."""
    here = [model for model in (registry.catalogue.find(str(path)) for path in _places(registry, wanted)) if model]
    main = [model for model in here if _is_main(registry.folders, wanted, model.path)]
    others = [item for item in sets if item.name != wanted.name]
    gone, kept = list(main), list[Model]()
    for model in here:
        if model in main:
            continue
        plan = plan_removal(registry, [*gone, model], others)
        if any(effect.lost is model for effect in plan.effects) or plan.sets:
            kept.append(model)
        else:
            gone.append(model)
    return gone, kept


def _effects(before: Catalogue, after: Catalogue) -> Iterable[Effect]:
    for model in after.of_type(MAIN_TYPES):
        had = parts_taken(before, model)
        lost = {component: part for component, part in had.items() if after.get(part.id) is None}
        if not lost:
            continue
        has = parts_taken(after, model)
        for component, part in lost.items():
            instead = has.get(component)
            if instead is None and component is Component.VAE:
                instead = has.get(Component.TAESD)
            yield Effect(model, component, part, instead)


def _sets_that_need(folders: Folders, gone: set[Path], sets: Iterable[ModelSet]) -> Iterable[str]:
    """Sets of which one choice is here as a whole now, of which the main file stays and another goes."""
    for item in sets:
        for choice in item.choices:
            places = {file.path_in(folders): file.part for file in choice.files}
            main = {path for path, part in places.items() if part in _MAIN_PARTS}
            if places.keys() & gone and not main & gone and all(path.exists() for path in places):
                yield item.name
                break


def _places(registry: Registry, wanted: ModelSet) -> dict[Path, None]:
    return dict.fromkeys(file.path_in(registry.folders) for choice in wanted.choices for file in choice.files)


def _is_main(folders: Folders, wanted: ModelSet, path: Path) -> bool:
    files = (file for choice in wanted.choices for file in choice.files)
    return any(file.part in _MAIN_PARTS and file.path_in(folders) == path for file in files)


def _files(registry: Registry, model: Model, gone: set[str]) -> tuple[tuple[Path, ...], int]:
    """The model's path with what lies beside it, and the bytes of all that."""
    try:
        registry.folders.confine(model.path.parent / "file")
    except Forbidden:
        raise Forbidden(
            f"{model.name} ({model.path}) lies outside the model folders: nothing is removed there", model=model.id
        ) from None
    folder = model.path.parent
    same_stem = (
        other
        for other in registry.catalogue.models
        if other.stem == model.stem and other.path.parent == folder and other.id not in gone
    )
    beside = [] if any(same_stem) else [folder / name for name in sidecar_names(model.stem)]
    paths = (model.path, *(path for path in beside if path.is_file() and path != model.path))
    return paths, sum(_size(path) for path in paths)


def _size(path: Path) -> int:
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
    stat = path.stat()
    # Under another name the bytes stay where they are.
    return stat.st_size if stat.st_nlink == 1 else 0
