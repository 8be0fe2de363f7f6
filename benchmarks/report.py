"""``docs/performance.md`` and ``docs/reliability.md`` from the saved results. ``python -m benchmarks.report`` writes both anew."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from benchmarks.charts import bar_chart
from benchmarks.machine import ROOT
from benchmarks.reasons import reason
from benchmarks.results import Result, Table, load, markdown_table, say

DOCS = ROOT / "docs"

#: Document → its heading, its introduction, and the results it shows.
DOCUMENTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "performance": (
        "Performance",
        "Measured by `make bench`, which writes this page. Pictures and times come from tiny models: they show what the server costs, not "
        "how fast a real model is. Where others used the machine at the same time (see the load average), single figures are worse than "
        "on a quiet one; ratios are taken from requests made in turns, so they suffer less.",
        (
            "overhead",
            "dialects",
            "comparison",
            "contention",
            "scale",
            "depth",
            "http",
            "switching",
            "speeds",
            "prediction",
            "reference_tool",
            "headers",
            "linearity",
            "detour",
            "convert",
        ),
    ),
    "reliability": (
        "Reliability",
        "Measured by `make soak` (and `python -m benchmarks NAME` for one of them), which writes this page. The faults are "
        "tests too: `make test` runs them, `make slow` and `make nightly` those that take longer.",
        ("cancel", "durability", "random_faults", "faults", "cluster_faults", "crowd", "soak", "mixed", "lifecycle"),
    ),
}


def write_documents() -> None:
    """Write both pages and their charts; results that were never taken are left out."""
    for name, (heading, introduction, wanted) in DOCUMENTS.items():
        results = [result for result in map(load, wanted) if result is not None]
        text = [f"# {heading}", "", introduction, ""]
        for result in results:
            text += _section(name, result)
        path = DOCS / f"{name}.md"
        path.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
        say(f"written: {path}")


def _section(document: str, result: Result) -> list[str]:
    machine = result.machine
    lines = [f"## {result.title}", "", result.method, ""]
    lines += [
        f"*{machine.taken_at}, {machine.processor}, {machine.physical_cores} cores ({machine.logical_cores} threads), "
        f"{machine.memory_gib} GiB, {machine.system}, Python {machine.python}, {machine.native_library}, "
        f"load average before the run {machine.load_average}.*",
        "",
    ]
    if result.figures:
        rows = [
            (figure.what, figure.value, figure.aim or "", {None: "", True: "yes", False: "**no**"}[figure.met])
            for figure in result.figures
        ]
        lines += [markdown_table(("figure", "measured", "aim", "met"), rows), ""]
        told = [(figure.what, why) for figure in result.figures if (why := reason(result.name, figure))]
        lines += [line for what, why in told for line in (f"*{what}*: {why}", "")]
    for number, table in enumerate(result.tables):
        lines += [f"### {table.title}", "", markdown_table(table.columns, table.rows), ""]
        chart = _chart(table)
        if chart:
            file = f"{document}-{result.name}-{number}.svg"
            (DOCS / "charts").mkdir(exist_ok=True)
            (DOCS / "charts" / file).write_text(chart, encoding="utf-8")
            lines += [f"![{table.title}](charts/{file})", ""]
    return lines


def _chart(table: Table) -> str:
    labels = [str(row[0]) for row in table.rows]
    series: dict[str, Sequence[float]] = {}
    with contextlib.suppress(ValueError):
        for column in table.chart:
            index = table.columns.index(column)
            series[column] = [float(row[index]) for row in table.rows]
    return bar_chart(table.title, labels, series) if series and len(labels) > 1 else ""


if __name__ == "__main__":
    write_documents()
