"""How well memory is foreseen: what headers and a dry run say against the peak of the engine process.

``python -m benchmarks.prediction``
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.inside import Inside, inside
from benchmarks.results import Result
from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages

POINTS = (
    ("ernie", 128),
    ("ernie", 256),
    ("ernie", 512),
    ("ovis", 128),
    ("ovis", 256),
    ("sd1_tiny", 64),
    ("sd1_tiny", 192),
)
_MIB = 2**20


async def measure(points: tuple[tuple[str, int], ...] = POINTS) -> Result:
    """Run it."""
    result = Result(
        "prediction",
        "Memory, foreseen and measured",
        "For each point, in an engine that has nothing loaded: the estimate before loading (weights from the headers, 192 MiB for "
        "the library's own tables) plus the compute buffers of the dry run, and the memory after loading plus those buffers; "
        "against the peak of the process's resident memory (VmHWM, reset before) while one picture is made in one step.",
    )
    rows = []
    errors: list[float] = []
    under = 0
    with tempfile.TemporaryDirectory() as name:
        for number, (model, side) in enumerate(points):
            async with inside(Path(name) / str(number), ("ernie", "ovis", "tae16", "sd1_tiny")) as app:
                before, loaded, compute, weights, peak = await _point(app, model, side)
                foreseen = before + weights + compute + messages.CONTEXT_OVERHEAD_BYTES / _MIB
                exact = loaded + compute
                errors.append(100 * (exact - peak) / peak)
                under += foreseen < peak
                rows.append(
                    (
                        f"{model} {side}²",
                        *(f"{x:.0f}" for x in (weights, compute, foreseen, exact, peak)),
                        f"{errors[-1]:+.1f} %",
                    )
                )
    result.add_table(
        "MiB",
        (
            "point",
            "weights (headers)",
            "compute (dry run)",
            "foreseen before loading",
            "foreseen when loaded",
            "measured peak",
            "error",
        ),
        rows,
    )
    worst = max(errors, key=abs)
    result.add("largest error of loaded memory + dry run", f"{worst:+.1f} %", "within 15 %", met=abs(worst) <= 15)
    result.add("points where the estimate before loading was too low", f"{under} of {len(points)}", "0", met=under == 0)
    return result


async def _point(app: Inside, model: str, side: int) -> tuple[float, ...]:
    """Memory before loading, when loaded, of compute buffers, of weights by headers, and at the peak, in MiB."""
    before = app.memory_mib()
    found = app.registry.catalogue.resolve(model)
    parameters = GenerationParameters(prompt="a red apple", width=side, height=side, steps=1, cfg_scale=1.0, seed=1)
    await app.load(model)
    loaded = app.memory_mib()
    Path(f"/proc/{app.engine_process().pid}/clear_refs").write_text("5", encoding="ascii")
    await app.picture(model, prompt="a red apple", width=side, height=side, steps=1, cfg_scale=1.0, seed=1)
    peak = _high_water_mib(app.engine_process().pid)
    # The picture began with a dry run, whose result is what the next plan goes by.
    planned = await asyncio.to_thread(app.workshop.plan, found, parameters)
    return before, loaded, planned.demand.compute / _MIB, planned.demand.weights / _MIB, peak


def _high_water_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the system does not tell VmHWM")


if __name__ == "__main__":
    asyncio.run(measure()).save()
