"""What the commands print about files, plans and comparisons: tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sdrest.conversion.compare import Comparison, TensorError
from sdrest.conversion.plan import Plan
from sdrest.core.model import Problem
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import Header
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.identify import Identity, identify
from sdrest.registry.recognition.inspect import count_types, header_problems

_SHORT_TEXT = 200


def print_plan(console: Console, plan: Plan, *, as_json: bool) -> None:
    """The result's size and every tensor's type."""
    if as_json:
        print_json(console, _plan_json(plan))
        return
    table = Table("tensor", "shape", "from", "to", "bytes", "kept because", box=None, pad_edge=False)
    for tensor in plan.tensors:
        shape = "×".join(map(str, tensor.shape))
        kinds = (tensor.source_type.value, tensor.type.value)
        table.add_row(tensor.name, shape, *kinds, str(tensor.nbytes), tensor.kept or "")
    console.print(table)
    for name, reason in plan.dropped:
        console.print(f"left out: {name} ({reason})")
    for note in plan.notes:
        console.print(note)
    types = ", ".join(f"{count} {kind.value}" for kind, count in plan.types().items())
    console.print(
        f"{plan.request.target}: {plan.nbytes / 1e6:.1f} MB from {plan.source_bytes / 1e6:.1f} MB, "
        f"{len(plan.tensors)} tensors ({types})"
    )


def _plan_json(plan: Plan) -> dict[str, object]:
    return {
        "input": str(plan.request.source),
        "output": str(plan.request.target),
        "format": plan.format,
        "nbytes": plan.nbytes,
        "source_bytes": plan.source_bytes,
        "types": plan.types(),
        "notes": plan.notes,
        "dropped": [{"name": name, "reason": reason} for name, reason in plan.dropped],
        "tensors": [
            {
                "name": tensor.name,
                "shape": tensor.shape,
                "from": tensor.source_type,
                "to": tensor.type,
                "nbytes": tensor.nbytes,
                "kept": tensor.kept,
            }
            for tensor in plan.tensors
        ],
    }


def print_inspection(console: Console, path: Path, *, as_json: bool) -> None:
    """Everything that the header of ``path`` says. Raises :class:`sdrest.registry.readers.header.HeaderError`."""
    header = read_header(path)
    identity = identify(header)
    if as_json:
        print_json(console, inspection_json(path, header, identity))
        return
    architecture = identity.architecture.label if identity.architecture else "unknown architecture"
    kind = identity.type.slug if identity.type else "unrecognised"
    parameters = sum(tensor.elements for tensor in header.tensors)
    console.print(
        f"{path}: {header.format.value}, {kind}, {architecture}{f', {identity.variant}' if identity.variant else ''}"
    )
    types = ", ".join(f"{count} {name.value}" for name, count in count_types(header).items())
    console.print(
        f"{len(header.tensors)} tensors ({types}), {parameters / 1e6:.2f} M parameters, {header.file_size} bytes"
    )
    if identity.embedded:
        console.print(f"holds: {', '.join(sorted(identity.embedded))}")
    print_problems(console, header_problems(header, identity))
    for key, value in header.metadata.items():
        text = str(value)
        console.print(f"{key} = {text[:_SHORT_TEXT]}{'…' if len(text) > _SHORT_TEXT else ''}", markup=False)
    print_tensors(console, header)


def print_problems(console: Console, problems: Iterable[Problem]) -> None:
    """What is wrong with a file, or worth knowing."""
    for problem in problems:
        console.print(f"{'[red]problem' if problem.fatal else '[yellow]note'}:[/] {escape(problem.message)}")


def print_tensors(console: Console, header: Header) -> None:
    """Every tensor of a file."""
    table = Table("tensor", "shape", "type", "bytes", "offset", box=None, pad_edge=False)
    for tensor in header.tensors:
        name = tensor.type.value if tensor.type else tensor.raw_type
        table.add_row(tensor.name, "×".join(map(str, tensor.shape)), name, str(tensor.nbytes), str(tensor.offset))
    console.print(table)


def inspection_json(path: Path, header: Header, identity: Identity) -> dict[str, object]:
    """Everything that a header says, for programs."""
    return {
        "file": str(path),
        "format": header.format,
        "type": identity.type.slug if identity.type else None,
        "architecture": identity.architecture,
        "variant": identity.variant,
        "loading_method": identity.loading_method,
        "embedded": sorted(identity.embedded),
        "traits": dict(identity.traits),
        "file_size": header.file_size,
        "parameters": sum(tensor.elements for tensor in header.tensors),
        "types": count_types(header),
        "problems": [
            {"code": p.code, "message": p.message, "fatal": p.fatal} for p in header_problems(header, identity)
        ],
        "metadata": dict(header.metadata),
        "tensors": [
            {
                "name": tensor.name,
                "shape": tensor.shape,
                "type": tensor.type or tensor.raw_type,
                "nbytes": tensor.nbytes,
                "offset": tensor.offset,
            }
            for tensor in header.tensors
        ],
    }


def print_comparison(console: Console, found: Comparison, *, as_json: bool, worst: int) -> None:
    """Totals by type and the worst tensors."""
    if as_json:
        print_json(console, _comparison_json(found))
        return
    totals = Table("types", "tensors", "lowest SNR", "mean SNR", "greatest error", box=None, pad_edge=False)
    for kinds, group in _by_types(found.errors).items():
        finite = [error.snr_db for error in group if math.isfinite(error.snr_db)]
        lowest, mean = (
            (f"{min(finite):.1f} dB", f"{sum(finite) / len(finite):.1f} dB") if finite else ("equal", "equal")
        )
        greatest = f"{max(error.max for error in group):.3g}"
        totals.add_row(f"{kinds[0].value} → {kinds[1].value}", str(len(group)), lowest, mean, greatest)
    console.print(totals)
    table = Table("tensor", "types", "max", "RMSE", "SNR", box=None, pad_edge=False)
    changed = sorted((e for e in found.errors if e.rmse), key=lambda error: error.snr_db)
    for error in changed[:worst]:
        kinds_text = f"{error.first_type.value} → {error.second_type.value}"
        table.add_row(error.name, kinds_text, f"{error.max:.3g}", f"{error.rmse:.3g}", f"{error.snr_db:.1f} dB")
    if changed[:worst]:
        console.print(table)
    console.print(f"{len(found.errors)} tensors compared, {len(found.errors) - len(changed)} of them equal")
    for label, names in (("A", found.only_first), ("B", found.only_second)):
        if names:
            console.print(
                f"only in {label}: {len(names)} tensors ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
            )
    if found.other_shape:
        console.print(f"of other shapes: {', '.join(found.other_shape[:3])}")


def _by_types(found: tuple[TensorError, ...]) -> dict[tuple[TensorType, TensorType], list[TensorError]]:
    groups: dict[tuple[TensorType, TensorType], list[TensorError]] = {}
    for error in found:
        groups.setdefault((error.first_type, error.second_type), []).append(error)
    return groups


def _comparison_json(found: Comparison) -> dict[str, object]:
    return {
        "tensors": [
            {
                "name": error.name,
                "shape": error.shape,
                "types": (error.first_type, error.second_type),
                "max": error.max,
                "rmse": error.rmse,
                "snr_db": error.snr_db if math.isfinite(error.snr_db) else None,
            }
            for error in found.errors
        ],
        "only_first": found.only_first,
        "only_second": found.only_second,
        "other_shape": found.other_shape,
    }


def print_json(console: Console, data: dict[str, object]) -> None:
    """Data for programs, as it is."""
    console.file.write(json.dumps(data, indent=1, default=str) + "\n")
