"""Conversion speed and memory against ``sd-cli -M convert`` of the same source tree.

``python -m benchmarks convert``: writes a file with the tensors of SD 1.5 (f16, 2 GB, seeded normal values), converts it with both
in turns, each in a process of its own, and compares input MB/s, processor time and peak resident memory. ``SD_CLI`` names the
program; without it, :mod:`benchmarks.peers` builds it. ``python -m benchmarks.convert FILE`` only writes the model.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.figures import median, ratio
from benchmarks.peers import peers
from benchmarks.results import Result, say
from benchmarks.rounds import some
from sdrest.conversion.quick import quick_q4_k
from tests.tiny.sd1 import checkpoint
from tests.tiny.tensors import Tensor
from tests.tiny.unet import SD1

TYPES = ("q8_0", "q4_0", "q4_k")
ROUNDS = 3
_DEVIATION = 0.02


def write_model(path: Path) -> None:
    """An SD 1.5 checkpoint of random values, tensor by tensor."""
    tensors: list[Tensor] = list(checkpoint(SD1))
    header, offset = dict[str, object](), 0
    for tensor in tensors:
        end = offset + 2 * tensor.elements
        header[tensor.name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    random = np.random.default_rng(1)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            file.write((random.standard_normal(tensor.elements, dtype=np.float32) * _DEVIATION).astype(np.float16).data)


@dataclass(frozen=True, slots=True)
class Run:
    """One command: seconds by the clock and on processors, peak MB."""

    seconds: float
    cpu: float
    peak: float


def run(command: list[str]) -> Run:
    """Run one command to its end."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return Run(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


async def measure(rounds: int = ROUNDS) -> Result:
    """Run it."""
    return await asyncio.to_thread(_measure, some(rounds))


def _measure(rounds: int) -> Result:
    given = os.environ.get("SD_CLI")
    tool = Path(given) if given else peers().cli
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, target = folder / "sd15-f16.safetensors", folder / "result.gguf"
        # In a process of its own: a child's peak memory counts that of its parent when it was started.
        subprocess.run([sys.executable, "-m", "benchmarks.convert", str(model)], check=True)
        size = model.stat().st_size / 1e6
        result = Result(
            "convert",
            "Conversion",
            f"A file of Stable Diffusion 1.5's shape (f16, {size:.0f} MB, random weights) into other types by `sd-convert` and by "
            f"`sd-cli -M convert` of the library's source tree, {rounds} times each in turns, all processors. Speed is that of reading "
            "the input; ratios are the medians of those of neighbouring runs."
            + ("" if quick_q4_k() else " Without the project's own quantiser of q4_k, which was not built."),
        )
        rows = [row for kind in TYPES for row in _compare(tool, model, target, kind, rounds, result)]
    columns = ("type", "program", "MB/s", "seconds", "processor seconds", "peak MB")
    result.add_table("Medians", columns, rows)
    return result


def _compare(
    tool: Path, model: Path, target: Path, kind: str, rounds: int, result: Result
) -> list[tuple[str, str, str, str, str, str]]:
    """Both programs for one type; the rows of the table."""
    commands = {
        "sd-cli": [str(tool), "-M", "convert", "-m", str(model), "-o", str(target), "--type", kind.replace("_k", "_K")],
        "sd-convert": [sys.executable, "-m", "sdrest.cli.sd_convert", str(model), str(target), "-t", kind, "-q"],
    }
    runs: dict[str, list[Run]] = {program: [] for program in commands}
    for number in range(rounds):
        for program, command in commands.items():
            target.unlink(missing_ok=True)
            done = run(command)
            runs[program].append(done)
            say(
                f"{kind} {number + 1}/{rounds} {program}: {done.seconds:.1f} s, {done.cpu:.1f} s of processors, {done.peak:.0f} MB"
            )
    target.unlink(missing_ok=True)
    theirs, ours = runs["sd-cli"], runs["sd-convert"]
    faster = ratio([r.seconds for r in theirs], [r.seconds for r in ours])
    smaller = ratio([r.peak for r in ours], [r.peak for r in theirs])
    result.add(f"{kind}: speed as a multiple of sd-cli's", f"{faster:.2f}", "at least 1.5", met=faster >= 1.5)
    result.add(f"{kind}: peak memory as a part of sd-cli's", f"{smaller:.3f}", "at most 0.1", met=smaller <= 0.1)
    size = model.stat().st_size / 1e6
    return [
        (
            kind,
            program,
            f"{size / median([r.seconds for r in done]):.0f}",
            f"{median([r.seconds for r in done]):.1f}",
            f"{median([r.cpu for r in done]):.1f}",
            f"{median([r.peak for r in done]):.0f}",
        )
        for program, done in runs.items()
    ]


if __name__ == "__main__":
    write_model(Path(sys.argv[1]))
