"""Whether memory stays where it is: rounds of loading, generating and unloading; many generations and cancels on one model.

``python -m benchmarks.lifecycle``
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
from pathlib import Path

from benchmarks.inside import Inside, inside
from benchmarks.results import Result
from sdrest.core.principal import ANYONE

ROUNDS = 30
GENERATIONS = 200
CANCELS = 50
SMALL = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2}


async def measure(rounds: int = ROUNDS, generations: int = GENERATIONS, cancels: int = CANCELS) -> Result:
    """Run it."""
    result = Result(
        "lifecycle",
        "Memory over a model's life",
        f"Resident memory of the engine process: {rounds} rounds of load, one 64×64 picture, unload, on the tiny ERNIE model; then "
        f"{generations} pictures and {cancels} cancelled jobs on it without unloading.",
    )
    with tempfile.TemporaryDirectory() as name:
        async with inside(Path(name), ("ernie",)) as app:
            await _rounds(result, app, rounds)
        async with inside(Path(name), ("ernie",)) as app:
            await _long_run(result, app, generations, cancels)
    return result


async def _rounds(result: Result, app: Inside, rounds: int) -> None:
    loaded: list[float] = []
    unloaded: list[float] = []
    for number in range(rounds):
        await app.load("ernie")
        await app.picture("ernie", **SMALL, seed=number)
        loaded.append(app.memory_mib())
        await app.residency.unload()
        unloaded.append(app.memory_mib())
    result.add_table(
        "Resident memory in MiB",
        ("round", "loaded", "unloaded"),
        [(i + 1, f"{loaded[i]:.0f}", f"{unloaded[i]:.0f}") for i in sorted({0, 1, 4, 9, 19, rounds - 1}) if i < rounds],
    )
    result.add(
        "given back by unloading, median",
        f"{sorted(a - b for a, b in zip(loaded, unloaded, strict=True))[rounds // 2]:.0f} MiB",
    )
    # The first rounds fill pools that stay: thread stacks, the allocator's arenas.
    base = unloaded[min(2, rounds - 1)]
    growth = 100 * (unloaded[-1] - base) / base
    result.add(f"change from round 3 to {rounds}, unloaded", f"{growth:+.1f} %", "within 5 %", met=abs(growth) <= 5)


async def _long_run(result: Result, app: Inside, generations: int, cancels: int) -> None:
    for number in range(5):
        await app.picture("ernie", **SMALL, seed=number)
    # The size of the jobs that are cancelled: its larger buffers are no growth.
    await app.picture("ernie", **{**SMALL, "width": 256, "height": 256}, seed=1)
    gc.collect()
    before = app.memory_mib()
    for number in range(generations):
        await app.picture("ernie", **SMALL, seed=number)
    after_pictures = app.memory_mib()
    ended = {"cancelled": 0, "completed": 0, "failed": 0}
    for number in range(cancels):
        job = await app.submit("ernie", prompt="a red apple", width=256, height=256, steps=40, seed=number)
        await asyncio.sleep(0.02 * (number % 10))
        await app.jobs.cancel(job.id, ANYONE)
        ended[(await app.ended(job)).state] += 1
    await app.picture("ernie", **SMALL, seed=1)
    after_cancels = app.memory_mib()
    result.add(
        f"memory before, after {generations} pictures, after {cancels} cancels",
        f"{before:.1f}, {after_pictures:.1f}, {after_cancels:.1f} MiB",
    )
    growth = 100 * (after_cancels - before) / before
    result.add("change over all", f"{growth:+.1f} %", "within 5 %", met=growth <= 5)
    result.add(
        "cancelled jobs that ended as cancelled",
        f"{ended['cancelled']} of {cancels}",
        "all",
        met=ended["cancelled"] == cancels,
    )
    restarts = app.engine.supervisor.restarts
    result.add("engine restarts meanwhile", str(restarts), "0", met=restarts == 0)


if __name__ == "__main__":
    asyncio.run(measure()).save()
