"""What a model takes on the disk: its file by the parts in it, the files beside it, and those of parts that lie elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdrest.core.errors import SdrestError
from sdrest.core.model import MAIN_TYPES, TEXT_TYPES, Component, Model
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.loading import resolve_loading
from sdrest.registry.recognition.identify import component_of
from sdrest.registry.registry import Registry
from sdrest.registry.sidecars import sidecar_names


@dataclass(frozen=True, slots=True, kw_only=True)
class PartUse:
    """One part of a model: bytes on the disk, and the file that it lies in."""

    #: A component's name; ``diffusion_model`` for what paints, ``other`` for what a file holds beside its tensors.
    part: str
    size: int
    #: The registered file; None: the model's own.
    file: Model | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """Everything that a model takes. ``beside`` are the names and sizes of descriptions and previews."""

    parts: tuple[PartUse, ...]
    beside: Mapping[str, int]

    @property
    def own(self) -> int:
        """Bytes that would be free without this model: its file and what lies beside it."""
        return sum(part.size for part in self.parts if part.file is None) + sum(self.beside.values())

    @property
    def total(self) -> int:
        """Bytes of all that it is loaded from, and what lies beside it. Other models may share parts in other files."""
        return sum(part.size for part in self.parts) + sum(self.beside.values())


def disk_use(registry: Registry, model: Model) -> DiskUse:
    """What a model takes on the disk. Reads its header, so not on the event loop."""
    return DiskUse(parts=(*_own_parts(registry, model), *_other_parts(registry, model)), beside=_beside(model))


def _own_parts(registry: Registry, model: Model) -> tuple[PartUse, ...]:
    if not model.type & MAIN_TYPES or model.type & TEXT_TYPES:
        return (PartUse(part=model.type.slug, size=model.size),)
    try:
        tensors = registry.header(model).tensors
    except (SdrestError, OSError):
        return (PartUse(part="other", size=model.size),)
    sizes: dict[str, int] = {}
    for tensor in tensors:
        component = component_of(tensor.name)
        part = str(component) if component in model.embedded else "diffusion_model"
        sizes[part] = sizes.get(part, 0) + tensor.nbytes
    rest = model.size - sum(sizes.values())
    if rest > 0:
        sizes["other"] = rest
    return tuple(PartUse(part=part, size=size) for part, size in sizes.items())


def _other_parts(registry: Registry, model: Model) -> tuple[PartUse, ...]:
    """The files with which the model would be loaded now; none when it cannot be."""
    return tuple(
        PartUse(part=str(component), size=part.size, file=part)
        for component, part in parts_taken(registry.catalogue, model).items()
    )


def parts_taken(catalogue: Catalogue, model: Model) -> Mapping[Component, Model]:
    """The registered files that ``model`` would be loaded with when nobody chooses; none when it cannot be loaded."""
    if not model.type & MAIN_TYPES:
        return {}
    try:
        chosen = resolve_loading(catalogue, model).components
    except SdrestError:
        return {}
    found = ((component, catalogue.get(part)) for component, part in chosen.items())
    return {component: part for component, part in found if part is not None}


def _beside(model: Model) -> dict[str, int]:
    found = {}
    for name in sidecar_names(model.stem):
        try:
            found[name] = model.path.with_name(name).stat().st_size
        except OSError:
            continue
    return found
