"""The two ways in which the library's tables rename."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Pairs = Iterable[tuple[str, str]]


def replace_each(name: str, pairs: Pairs) -> str:
    """For each pair (old, new) in turn, replace the first occurrence of old."""
    for old, new in pairs:
        name = name.replace(old, new, 1)
    return name


def replace_start(name: str, table: Mapping[str, str]) -> str:
    """Replace the beginning of ``name`` that the table has; the longest one where several fit."""
    end = len(name)
    while end > 0:
        new = table.get(name[:end])
        if new is not None:
            return new + name[end:]
        end -= 1
    return name
