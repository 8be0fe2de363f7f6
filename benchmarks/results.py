"""What a benchmark found: figures with their aims, tables, and the machine; kept as JSON, shown as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine, this_machine

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, and what it should be when there is an aim."""

    what: str
    value: str
    aim: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a table. ``chart`` names the columns that a bar chart shows, the first column being the labels."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    chart: tuple[str, ...] = ()


@dataclass(slots=True)
class Result:
    """The outcome of one benchmark."""

    name: str
    title: str
    #: How it was measured, in a sentence or two.
    method: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    machine: Machine = field(default_factory=this_machine)

    def add(self, what: str, value: str, aim: str = "", *, met: bool | None = None) -> None:
        """Note one figure and show it at once."""
        self.figures.append(Figure(what, value, aim, met))
        say(f"{what}: {value}" + (f" (aim {aim}: {'met' if met else 'NOT MET'})" if aim else ""))

    def add_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], chart: Sequence[str] = ()
    ) -> None:
        """Note one table and show it at once."""
        if wrong := [row for row in rows if len(row) != len(columns)]:
            raise ValueError(f"{title}: a row of {len(wrong[0])} cells in a table of {len(columns)} columns")
        table = Table(title, tuple(columns), tuple(tuple(row) for row in rows), tuple(chart))
        self.tables.append(table)
        say(markdown_table(table.columns, table.rows))

    def save(self) -> Path:
        """Write the JSON file that the documents are made from."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"written to {path}")
        return path


def load(name: str) -> Result | None:
    """The saved result of that name; None when it was never measured."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    return Result(
        name=values["name"],
        title=values["title"],
        method=values["method"],
        figures=[Figure(**item) for item in values["figures"]],
        tables=[
            Table(item["title"], tuple(item["columns"]), tuple(map(tuple, item["rows"])), tuple(item["chart"]))
            for item in values["tables"]
        ],
        machine=Machine(**values["machine"]),
    )


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; all but the first column are aligned to the right."""
    lines = [f"| {' | '.join(columns)} |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def say(text: str) -> None:
    """Show something to whoever runs the benchmark."""
    print(text, flush=True)
