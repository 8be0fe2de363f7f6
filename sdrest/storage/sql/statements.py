"""The statements of a store, from a file of a database's ``queries/``."""

from __future__ import annotations

import re
from importlib import resources


def statements(package: str, file: str) -> dict[str, str]:
    """The statements of ``queries/FILE.sql`` in ``package`` by name; each begins after a line ``-- name: NAME``.

    A store declares the names it uses as the fields of a dataclass, so that one that is missing or not used is an error when a
    store is made.

    Raises:
        ValueError: two statements have one name.
    """
    text = resources.files(package).joinpath("queries", f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    names = parts[::2]
    if len({*names}) < len(names):
        raise ValueError(f"queries/{file}.sql has two statements of one name: {', '.join(names)}")
    return dict(zip(names, parts[1::2], strict=True))


def without_comments(statement: str) -> str:
    """A statement without the lines that explain it."""
    return "\n".join(line for line in statement.splitlines() if not line.startswith("--")).strip()
