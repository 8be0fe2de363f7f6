"""``sdrest models inspect``: what a model file is, and what would be loaded with it here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sdrest.cli.local_models import console, faults_told, local_options, opened
from sdrest.cli.model_reports import inspection_json, print_json, print_problems, print_tensors
from sdrest.core.errors import ModelNotFound, SdrestError
from sdrest.core.model import MAIN_TYPES, TEXT_TYPES, Component, Loading, Model, ModelType
from sdrest.registry.loading import resolve_loading
from sdrest.registry.readers.header import Header
from sdrest.registry.readers.reading import is_diffusers_folder, read_header
from sdrest.registry.recognition.identify import Identity, identify
from sdrest.registry.recognition.inspect import header_problems, inspect_model
from sdrest.registry.registry import ComponentState, Registry


@dataclass(frozen=True, slots=True)
class _Share:
    """What the tensors of one element type make up."""

    type: str
    tensors: int = 0
    parameters: int = 0
    nbytes: int = 0


@dataclass(frozen=True, slots=True)
class _Inspection:
    """Everything that is told of one model."""

    model: Model
    is_registered: bool
    header: Header
    identity: Identity
    components: tuple[ComponentState, ...]
    #: None where it cannot be loaded, for the ``reason``; both are empty for what is no main model.
    loading: Loading | None
    reason: str


@click.command("inspect")
@click.argument("what", metavar="FILE|NAME")
@click.option("--tensors", "with_tensors", is_flag=True, help="List every tensor.")
@local_options()
def inspect(what: str, config: Path | None, *, as_json: bool, with_tensors: bool, **flags: Any) -> None:
    """Show what a model is: a FILE anywhere, or a registered model by any of its names. Needs no server.

    Format, type, architecture, tensors and their sizes by element type, problems; and for a model that makes pictures the
    parts that it needs, which of the registered files can be them, and which would be taken.
    """
    with faults_told():
        _, registry = opened(config, flags)
        found = _inspected(registry, what)
    if as_json:
        print_json(console(), _json(registry, found))
    else:
        _print(console(), registry, found, with_tensors=with_tensors)


def _inspected(registry: Registry, what: str) -> _Inspection:
    """Look into a file or a registered model. Raises :class:`SdrestError` for what is neither, or cannot be read."""
    path = Path(what)
    model = registry.catalogue.find(str(path.absolute()))
    is_registered = model is not None
    if model is None and (path.is_file() or is_diffusers_folder(path)):
        # The folder that it would belong into says what it is for where the file alone leaves that open.
        kind = registry.folders.for_type(identify(read_header(path)).type or ModelType.CHECKPOINT)
        model = inspect_model(path.absolute(), kind, path.name, path.stat())
    elif model is None:
        try:
            model, is_registered = registry.catalogue.resolve(what), True
        except ModelNotFound as error:
            raise ModelNotFound(f"{what!r} is no model file, and {error.message}") from None
    if model.type & TEXT_TYPES:
        raise click.ClickException(f"{model.path} is of type {model.type.slug}: a text, which holds no tensors")
    header = registry.header(model)
    if not model.type & MAIN_TYPES:
        return _Inspection(model, is_registered, header, identify(header), (), None, "")
    components = registry.components(model)
    try:
        loading = resolve_loading(registry.catalogue, model)
        return _Inspection(model, is_registered, header, identify(header), components, loading, "")
    except SdrestError as error:
        return _Inspection(model, is_registered, header, identify(header), components, None, error.message)


def _shares(header: Header) -> list[_Share]:
    """The tensors by element type, the largest share first."""
    found: dict[str, _Share] = {}
    for tensor in header.tensors:
        name = tensor.type.value if tensor.type else tensor.raw_type
        had = found.get(name, _Share(name))
        found[name] = _Share(name, had.tensors + 1, had.parameters + tensor.elements, had.nbytes + tensor.nbytes)
    return sorted(found.values(), key=lambda share: -share.nbytes)


def _json(registry: Registry, found: _Inspection) -> dict[str, object]:
    model, loading = found.model, found.loading
    told = inspection_json(model.path, found.header, found.identity)
    return {
        "name": model.name,
        "id": model.id if found.is_registered else None,
        "registered": found.is_registered,
        **told,
        "type": model.type.slug,
        "sizes": [
            {"type": s.type, "tensors": s.tensors, "parameters": s.parameters, "nbytes": s.nbytes}
            for s in _shares(found.header)
        ],
        "loading": {
            "possible": loading is not None,
            "reason": found.reason or None,
            "weights_bytes": loading.weights_bytes if loading else None,
            "components": [
                {
                    "component": state.requirement.component,
                    "need": state.requirement.need,
                    "reason": state.requirement.reason,
                    "embedded": state.embedded,
                    "taken": _taken(registry, found, state),
                    "tiny_instead": _is_tiny_instead(found, state),
                    "candidates": [
                        {"name": c.name, "file": str(c.path), "nbytes": c.weights_bytes} for c in state.candidates
                    ],
                }
                for state in found.components
            ],
        }
        if model.type & MAIN_TYPES
        else None,
    }


def _taken(registry: Registry, found: _Inspection, state: ComponentState) -> str | None:
    """Name of the registered model that would be taken for a part; None where the file holds it or nothing fits."""
    chosen = found.loading.components if found.loading else {}
    part = Component.TAESD if _is_tiny_instead(found, state) else state.requirement.component
    model = registry.catalogue.get(chosen[part]) if part in chosen else None
    return model.name if model else None


def _is_tiny_instead(found: _Inspection, state: ComponentState) -> bool:
    """Whether a tiny autoencoder, of its own or in the file, stands in for the VAE that this part would be."""
    if state.requirement.component is not Component.VAE or found.loading is None or state.embedded:
        return False
    return Component.VAE not in found.loading.components and found.loading.taesd_path is not None


def _print(console: Console, registry: Registry, found: _Inspection, *, with_tensors: bool) -> None:
    model, header = found.model, found.header
    architecture = model.architecture.label if model.architecture else "unknown architecture"
    variant = f", {model.variant}" if model.variant else ""
    console.print(escape(f"{model.path}: {header.format.value}, {model.type.slug}, {architecture}{variant}"))
    console.print(
        f"{len(header.tensors)} tensors, {model.parameter_count / 1e6:.2f} M parameters, {header.file_size} bytes; "
        + escape(f"registered as {model.name} ({model.id})" if found.is_registered else "not in the model folders")
    )
    table = Table("type", "tensors", "parameters", "bytes", box=None, pad_edge=False)
    for share in _shares(header):
        table.add_row(share.type, str(share.tensors), str(share.parameters), str(share.nbytes))
    console.print(table)
    if model.embedded:
        console.print(f"holds: {', '.join(sorted(model.embedded))}")
    print_problems(console, header_problems(header, found.identity))
    if found.components:
        _print_components(console, registry, found)
    if found.loading is not None:
        console.print(f"would be loaded with {found.loading.weights_bytes / 1e6:.1f} MB of weights in all")
    elif found.reason:
        console.print(f"[red]cannot be loaded here:[/] {escape(found.reason)}")
    if with_tensors:
        print_tensors(console, header)


def _print_components(console: Console, registry: Registry, found: _Inspection) -> None:
    table = Table("part", "need", "taken", "would fit too", "because it", box=None, pad_edge=False)
    for state in found.components:
        taken = _taken(registry, found, state)
        tiny = "tiny autoencoder " if _is_tiny_instead(found, state) else ""
        here = taken or ("in the file" if state.embedded or tiny else "none")
        others = ", ".join(candidate.name for candidate in state.candidates if candidate.name != taken)
        table.add_row(
            state.requirement.component.value,
            state.requirement.need.value,
            escape(f"{tiny}{here}"),
            escape(others or "–"),
            state.requirement.reason,
        )
    console.print(table)
