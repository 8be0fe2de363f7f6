"""Models as the native API shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from typing_extensions import TypedDict

from sdrest.core.model import Model
from sdrest.registry.folders import extensions_of
from sdrest.registry.loading import missing_components
from sdrest.registry.registry import Registry
from sdrest.web.requests.job_views import timestamp


class ModelView(TypedDict):
    """One model file. Sizes are in bytes; ``type_id`` is the bit of the type."""

    id: str
    name: str
    title: str | None
    type: str
    type_id: int
    path: str
    file_name: str
    size: int
    size_human: str
    modified: str | None
    format: str
    sha256: str | None
    short_hashes: dict[str, str]
    architecture: str | None
    architecture_label: str | None
    quantization: str | None
    description: str | None
    trigger_words: list[str]
    base_model: str | None
    lender: str | None
    notes: str | None
    licence: str | None
    is_loaded: bool
    loading_method: str | None
    usable: bool
    problems: list[str]


class ComponentView(TypedDict):
    """One part that the model takes: whether its file holds it, and which files here would do."""

    component: str
    need: str
    reason: str
    embedded: bool
    present: bool
    candidates: list[str]


class ModelDetail(ModelView):
    """A model with all that its header says."""

    tensor_count: int
    parameter_count: int
    weights_bytes: int
    types: dict[str, int]
    traits: dict[str, int]
    defaults: dict[str, Any]
    components: list[ComponentView]
    missing_components: list[str]
    metadata: dict[str, Any]


def human_size(number: int) -> str:
    """Bytes for people: ``3.4 GB`` (powers of 1000, as disks are sold)."""
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def model_view(model: Model, *, is_loaded: bool) -> ModelView:
    """A model in a list."""
    return {
        "id": model.id,
        "name": model.name,
        "title": model.title,
        "type": model.type.slug,
        "type_id": model.type.value,
        "path": model.relative_path,
        "file_name": model.file_name,
        "size": model.size,
        "size_human": human_size(model.size),
        "modified": timestamp(datetime.fromtimestamp(model.mtime_ns / 1e9, UTC)),
        "format": model.format,
        "sha256": model.sha256,
        "short_hashes": dict(model.short_hashes),
        "architecture": model.architecture,
        "architecture_label": model.architecture.label if model.architecture else None,
        "quantization": model.quantization.value if model.quantization else None,
        "description": model.description,
        "trigger_words": list(model.trigger_words),
        "base_model": model.base_model,
        "lender": model.lender or None,
        "notes": model.notes,
        "licence": model.licence,
        "is_loaded": is_loaded,
        "loading_method": model.loading_method,
        "usable": model.usable,
        "problems": [problem.message for problem in model.problems],
    }


def model_detail(registry: Registry, model: Model, metadata: dict[str, Any], *, is_loaded: bool) -> ModelDetail:
    """A model in full."""
    return {
        **model_view(model, is_loaded=is_loaded),
        "tensor_count": model.tensor_count,
        "parameter_count": model.parameter_count,
        "weights_bytes": model.weights_bytes,
        "types": {kind.value: number for kind, number in model.types.items()},
        "traits": dict(model.traits),
        "defaults": dict(model.defaults),
        "components": [
            {
                "component": state.requirement.component,
                "need": state.requirement.need,
                "reason": state.requirement.reason,
                "embedded": state.embedded,
                "present": state.present,
                "candidates": [candidate.name for candidate in state.candidates],
            }
            for state in registry.components(model)
        ],
        "missing_components": [str(component) for component in missing_components(registry.catalogue, model)],
        "metadata": metadata,
    }


def type_view(registry: Registry, kind: Any) -> dict[str, Any]:
    """One model type: its folder and the endings of its files."""
    folder = registry.folders.for_type(kind)
    return {
        "name": kind.slug,
        "id": kind.value,
        "description": folder.description,
        "extensions": list(extensions_of(kind)),
        "directory": str(registry.folders.primary(folder)),
    }
