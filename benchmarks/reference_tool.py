"""Time to load and time per step against ``sd-cli`` of the same source tree, same parameters, same threads.

``SD_CLI=/path/to/sd-cli python -m benchmarks.reference_tool``: both sides' times are the library's own log lines, taken in turns.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
from pathlib import Path

from benchmarks.figures import median, ratio
from benchmarks.inside import Inside, inside
from benchmarks.results import Result
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from tests.tiny.fixtures import cached

#: Of Stable Diffusion 1's shape: large enough that loading and a step take time.
MODEL = "sd1_tiny"
ROUNDS = 4
SIDE, STEPS, THREADS = 64, 4, 2
_LOAD = re.compile(r"loading tensors completed, taking (?P<seconds>[\d.]+)s")
_SAMPLE = re.compile(r"sampling completed, taking (?P<seconds>[\d.]+)s")


async def measure(rounds: int = ROUNDS) -> Result:
    """Run it."""
    tool = os.environ.get("SD_CLI", "")
    if not Path(tool).is_file():
        raise SystemExit("set SD_CLI to an sd-cli built from the source tree of the installed library")
    result = Result(
        "reference_tool",
        "Against sd-cli",
        f"A tiny-U-Net model of Stable Diffusion 1, {SIDE}×{SIDE}, {STEPS} steps of euler, {THREADS} threads, {rounds} "
        "times each in turns; the times are those that the library logs for loading tensors and for sampling.",
    )
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        async with inside(Path(name), (MODEL,), threads=THREADS) as app:
            for number in range(-1, rounds):
                other = await asyncio.to_thread(_tool, tool, Path(name) / "out.png")
                own = await _own(app)
                if number >= 0:
                    ours.append(own)
                    theirs.append(other)
    rows = []
    for index, what in enumerate(("loading tensors, ms", "one step, ms")):
        mine, other_s = [o[index] * 1000 for o in ours], [t[index] * 1000 for t in theirs]
        rows.append((what, f"{median(mine):.1f}", f"{median(other_s):.1f}", f"{ratio(mine, other_s):.2f}"))
        result.add(
            f"{what.split(',')[0]}: ratio",
            f"{ratio(mine, other_s):.2f}",
            "at most 1.05",
            met=ratio(mine, other_s) <= 1.05,
        )
    result.add_table("Medians", ("what", "sdrest", "sd-cli", "ratio of pairs"), rows)
    return result


def _tool(tool: str, picture: Path) -> tuple[float, float]:
    command = [
        tool,
        "-m",
        str(cached(MODEL)),
        "-p",
        "a red apple",
        "-W",
        str(SIDE),
        "-H",
        str(SIDE),
        "--steps",
        str(STEPS),
    ]
    command += [
        "--cfg-scale",
        "1",
        "--sampling-method",
        "euler",
        "--scheduler",
        "discrete",
        "-s",
        "42",
        "-t",
        str(THREADS),
    ]
    done = subprocess.run([*command, "-o", str(picture)], capture_output=True, text=True, check=True)
    return _seconds([*done.stdout.splitlines(), *done.stderr.splitlines()])


async def _own(app: Inside) -> tuple[float, float]:
    """One load and one picture in a context of its own, read from the engine's log lines."""
    await app.residency.unload()
    lines: list[str] = []
    supervisor = app.engine.supervisor
    hear = supervisor._on_report

    def listening(report: messages.Report) -> None:
        if isinstance(report, messages.LogLine):
            lines.append(report.text)
        hear(report)

    supervisor._on_report = listening
    try:
        values = {
            "prompt": "a red apple",
            "width": SIDE,
            "height": SIDE,
            "steps": STEPS,
            "cfg_scale": 1.0,
            "seed": 42,
            "sampler": "euler",
            "scheduler": "discrete",
        }
        found = app.registry.catalogue.resolve(MODEL)
        planned = await asyncio.to_thread(app.workshop.plan, found, GenerationParameters())
        await app.engine.run(messages.Load(task="load", context=planned.context.spec), lambda _report: None)
        await app.picture(MODEL, **values)
    finally:
        supervisor._on_report = hear
    return _seconds(lines)


def _seconds(lines: list[str]) -> tuple[float, float]:
    """Seconds to load, and for one step. A dry run samples too: the longest time is the real one."""
    text = "\n".join(lines)
    load = float(next(_LOAD.finditer(text))["seconds"])
    return load, max(float(match["seconds"]) for match in _SAMPLE.finditer(text)) / STEPS


if __name__ == "__main__":
    asyncio.run(measure()).save()
