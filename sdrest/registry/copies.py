"""The same model in several programs' folders is shown once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from sdrest.core.model import Model
from sdrest.registry.contents import Contents


def without_copies(models: Iterable[Model], contents: Contents) -> list[Model]:
    """``models`` without borrowed files that hold what an earlier one holds; that one knows them as its ``copies``.

    Our own files are all kept: who has two of them wants two. Reads a few megabytes of files of equal size.
    """
    kept: dict[str, Model] = {}
    by_size: dict[int, list[str]] = {}
    for model in models:
        alike = by_size.setdefault(model.size, [])
        same = (
            next((other for other in alike if _same(kept[other].path, model.path, contents)), None)
            if model.lender
            else None
        )
        if same is None:
            kept[model.id] = model
            alike.append(model.id)
        else:
            kept[same] = replace(kept[same], copies=(*kept[same].copies, model.path))
    return list(kept.values())


def _same(one: Path, other: Path, contents: Contents) -> bool:
    try:
        if one.is_dir() or other.is_dir():
            return one.samefile(other)
        return one.samefile(other) or contents.of(str(one)) == contents.of(str(other))
    except OSError:
        return False
