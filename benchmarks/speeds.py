"""What ``speed`` saves and changes: the built-in model, exact, balanced and fast in turns.

``python -m benchmarks.speeds``.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import median, ratio
from benchmarks.inside import Inside, inside
from benchmarks.results import Result
from benchmarks.rounds import some
from sdrest.core.names import Speed
from sdrest.registry.builtin import EMBEDDED_NAME

PROMPTS = (
    "a cat on a blue background",
    "a castle on a purple background",
    "a hamburger on a yellow background",
    "a red apple on a white background",
    "a robot, red background",
    "a guitar on an orange background",
)
STEPS = (8, 12, 20)


async def measure() -> Result:
    """Run it."""
    result = Result(
        "speeds",
        "Exact, balanced and fast",
        f"The built-in model at 128×128, the same {some(len(PROMPTS))} prompts and seeds at each speed, in turns. Peak signal-to-noise ratio "
        "against the exact picture, mean and worst; from about 40 dB on, nobody sees a difference.",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with inside(folder) as app:
            await _picture(app, folder, PROMPTS[0], steps=1)
            for steps in STEPS:
                result.add_table(
                    f"{steps} steps",
                    ("speed", "seconds (median)", "times as fast", "PSNR (dB)", "worst PSNR (dB)"),
                    await _rows(app, folder, steps),
                )
    return result


async def _rows(app: Inside, folder: Path, steps: int) -> list[tuple[str, ...]]:
    seconds: dict[Speed, list[float]] = {speed: [] for speed in Speed}
    likeness: dict[Speed, list[float]] = {speed: [] for speed in Speed}
    for seed, prompt in enumerate(PROMPTS[: some(len(PROMPTS))]):
        exact = None
        for speed in Speed:
            picture, took = await _picture(app, folder, prompt, steps=steps, seed=seed, speed=speed)
            exact = picture if exact is None else exact
            seconds[speed].append(took)
            likeness[speed].append(_psnr(picture, exact))
    return [
        (
            speed,
            f"{median(seconds[speed]):.2f}",
            f"{ratio(seconds[Speed.EXACT], seconds[speed]):.2f}",
            "the same bytes" if speed is Speed.EXACT else f"{sum(likeness[speed]) / len(likeness[speed]):.1f}",
            "" if speed is Speed.EXACT else f"{min(likeness[speed]):.1f}",
        )
        for speed in Speed
    ]


async def _picture(app: Inside, folder: Path, prompt: str, **values: object) -> tuple[NDArray[np.int16], float]:
    job = await app.picture(EMBEDDED_NAME, prompt=prompt, width=128, height=128, **values)
    assert job.started_at is not None
    assert job.finished_at is not None
    file = folder / "data" / "output" / job.id / job.outputs[0].file
    return np.asarray(Image.open(file).convert("RGB"), np.int16), (job.finished_at - job.started_at).total_seconds()


def _psnr(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    error = float(np.square(one - other, dtype=np.float64).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


if __name__ == "__main__":
    asyncio.run(measure()).save()
