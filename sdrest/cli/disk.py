"""``sdrest models du``: what the models take on the disk, with parts that they share counted once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from sdrest.cli.local_models import console, faults_told, local_options, named, opened, size_text
from sdrest.cli.model_reports import print_json
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.registry.disk_use import DiskUse, disk_use
from sdrest.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class _Row:
    """A model that makes pictures, what it is loaded from, and the bytes of that which no other model is loaded from."""

    model: Model
    use: DiskUse
    alone: int


@click.command("du")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@local_options()
def disk_usage(names: tuple[str, ...], config: Path | None, *, as_json: bool, **flags: Any) -> None:
    """Show what models take on the disk, by model and by part, with shared parts counted once.

    Of each model (or of those named): its own files, all that it is loaded from, and how much of that no other model is loaded
    from. Then all files by their type, each once.
    """
    with faults_told():
        _, registry = opened(config, flags)
        rows = _rows(registry)
        if names:
            wanted = {model.id for model in named(registry, names)}
            shown = [row for row in rows if row.model.id in wanted]
            others = [
                (model, disk_use(registry, model)) for model in named(registry, names) if not model.type & MAIN_TYPES
            ]
            shown += [_Row(model, use, use.own) for model, use in others]
        else:
            shown = rows
    sizes = _by_type(registry.catalogue.models)
    borrowed = sum(_by_type(model for model in registry.catalogue.models if model.lender).values())
    if as_json:
        print_json(console(), _json(shown, sizes, borrowed))
        return
    table = Table(
        "model", "own files", "in all", "needed by it alone", "parts in other files", box=None, pad_edge=False
    )
    for row in shown:
        parts = ", ".join(f"{part.part} {part.file.name} {size_text(part.size)}" for part in row.use.parts if part.file)
        sizes_of = (size_text(size) for size in (row.use.own, row.use.total, row.alone))
        table.add_row(escape(row.model.name), *sizes_of, escape(parts or "–"))
    console().print(table)
    if not names:
        kinds = Table("type", "size", box=None, pad_edge=False)
        for kind, size in sizes.most_common():
            kinds.add_row(kind, size_text(size))
        kinds.add_row("all", size_text(sizes.total()))
        console().print()
        console().print(kinds)
        if borrowed:
            console().print(f"{size_text(borrowed)} of it in the folders of other programs")


def _rows(registry: Registry) -> list[_Row]:
    """All models that make pictures, the largest first."""
    uses = {model.id: (model, disk_use(registry, model)) for model in registry.catalogue.of_type(MAIN_TYPES)}
    takers = Counter(part.file.id for _, use in uses.values() for part in use.parts if part.file is not None)
    rows = [
        _Row(
            model,
            use,
            use.own + sum(part.size for part in use.parts if part.file is not None and takers[part.file.id] == 1),
        )
        for model, use in uses.values()
    ]
    return sorted(rows, key=lambda row: (-row.use.total, row.model.name))


def _by_type(models: Iterable[Model]) -> Counter[str]:
    """Bytes by type. A file that has several names counts once."""
    seen: set[tuple[int, int]] = set()
    sizes = Counter[str]()
    for model in models:
        try:
            stat = os.stat(model.path)  # noqa: PTH116 - a folder's device and number, too
        except OSError:
            continue
        if (stat.st_dev, stat.st_ino) not in seen:
            seen.add((stat.st_dev, stat.st_ino))
            sizes[model.type.slug] += model.size
    return sizes


def _json(rows: Iterable[_Row], sizes: Counter[str], borrowed: int) -> dict[str, object]:
    return {
        "models": [
            {
                "id": row.model.id,
                "name": row.model.name,
                "own_bytes": row.use.own,
                "total_bytes": row.use.total,
                "alone_bytes": row.alone,
                "parts": [
                    {"part": part.part, "size_bytes": part.size, "file": part.file.name if part.file else None}
                    for part in row.use.parts
                ],
            }
            for row in rows
        ],
        "by_type": dict(sizes.most_common()),
        "total_bytes": sizes.total(),
        "borrowed_bytes": borrowed,
    }
