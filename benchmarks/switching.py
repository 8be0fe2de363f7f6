"""What it saves to take jobs for the loaded model first: 40 jobs that alternate between two models, against plain turns.

``python -m benchmarks.switching``: the memory budget holds one model at a time.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.inside import Inside, count_loads, inside
from benchmarks.results import Result
from sdrest.core.principal import ANYONE

JOBS = 40
BUDGET_BYTES = 270 << 20


async def measure(jobs: int = JOBS) -> Result:
    """Run it."""
    result = Result(
        "switching",
        "Switching between models",
        f"{jobs} jobs of 32×32 pixels in one step, alternating between the tiny ERNIE model and a tiny OVIS one, with a memory "
        "budget for one of them; with loaded models first (bounded), and in plain turns, in the same run.",
    )
    rows = []
    seconds: dict[str, float] = {}
    loads: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        async with inside(Path(name), ("ernie", "ovis", "tae16"), memory_budget_bytes=BUDGET_BYTES) as app:
            loaded = count_loads(app)
            loaded_first = app.worker._preferred_models
            for way in ("warm-up", "plain turns", "loaded first"):
                app.worker._preferred_models = loaded_first if way == "loaded first" else tuple
                loaded.clear()
                seconds[way] = await _run(app, 4 if way == "warm-up" else jobs)
                loads[way] = len(loaded)
                if way != "warm-up":
                    rows.append((way, loads[way], f"{seconds[way]:.1f}"))
    result.add_table(f"{jobs} alternating jobs", ("way", "loads", "seconds"), rows, chart=("seconds",))
    result.add(
        "loads with loaded models first", str(loads["loaded first"]), "at most 6", met=loads["loaded first"] <= 6
    )
    ratio = seconds["plain turns"] / seconds["loaded first"]
    result.add("plain turns take", f"{ratio:.1f} times as long", "more than 1.5", met=ratio > 1.5)
    return result


async def _run(app: Inside, number: int) -> float:
    await app.jobs.set_paused(True, ANYONE)
    values: dict[str, Any] = {"prompt": "a red apple", "width": 32, "height": 32, "steps": 1, "cfg_scale": 1.0}
    jobs = [await app.submit(("ernie", "ovis")[i % 2], seed=i, **values) for i in range(number)]
    started_at = time.perf_counter()
    await app.jobs.set_paused(False, ANYONE)
    for job in jobs:
        ended = await app.ended(job)
        assert ended.state == "completed", ended.failure
    return time.perf_counter() - started_at


if __name__ == "__main__":
    asyncio.run(measure()).save()
