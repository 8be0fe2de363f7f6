"""Conversion speed and memory against the library's own ``convert()``, which is also what ``sd-cli -M convert`` runs.

    python -m benchmarks.convert [--types q8_0,q4_0,q4_k] [--repeat 3] [--keep]

Writes a file with the tensors of SD 1.5 (f16, 2 GB, seeded normal values) into a temporary folder, converts it with
both, each in a process of its own with all processors, and prints input MB/s and peak resident memory. The fastest of
the repeats counts, because other work on the machine can only slow a run down.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdrest.core.tensor_types import LAYOUTS, TensorType
from tests.tiny.sd1 import checkpoint
from tests.tiny.tensors import Tensor
from tests.tiny.unet import SD1

_DEVIATION = 0.02
_LIBRARY = (
    "import sys; from stable_diffusion_cpp import stable_diffusion_cpp as s; "
    "sys.exit(not s.convert(sys.argv[1].encode(), b'', sys.argv[2].encode(), int(sys.argv[3]), b'', False))"
)


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


@dataclass(frozen=True)
class Run:
    """One command: seconds by the clock and on processors, peak MB."""

    seconds: float
    cpu: float
    peak: float

    def best(self, other: Run) -> Run:
        return Run(min(self.seconds, other.seconds), min(self.cpu, other.cpu), max(self.peak, other.peak))


def measure(command: list[str]) -> Run:
    """Run one command to its end."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return Run(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--types", default="q8_0,q4_0,q4_k")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; kept")
    parser.add_argument("--write", type=Path, help="only write the model to this path")
    options = parser.parse_args()
    if options.write:
        write_model(options.write)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        model, result = folder / "sd15-f16.safetensors", folder / "result.gguf"
        if not model.exists():
            # In a process of its own: a child's peak memory counts that of its parent when it was started.
            subprocess.run([sys.executable, "-m", "benchmarks.convert", "--write", str(model)], check=True)
        size = model.stat().st_size / 1e6
        print(f"{model.name}: {size:.0f} MB, {os.cpu_count()} processors")
        print(
            f"{'type':8}{'converter':24}{'s':>8}{'MB/s':>8}{'cpu s':>8}{'peak MB':>9}{'speed':>8}{'cpu':>8}{'memory':>8}"
        )
        for name in options.types.split(","):
            compare(model, result, TensorType(name), options.repeat, size)


def compare(model: Path, result: Path, kind: TensorType, repeat: int, size: float) -> None:
    """Run all converters for one type, in turn, and print the best of each."""
    ours = [sys.executable, "-m", "sdrest.cli.sd_convert", str(model), str(result), "-t", kind.value, "-f", "-q"]
    commands = {
        "library convert()": [sys.executable, "-c", _LIBRARY, str(model), str(result), str(LAYOUTS[kind].ggml_id)],
        "sd-convert": ours,
        "sd-convert --best": [*ours, "--best"],
    }
    best: dict[str, Run] = {}
    for _ in range(repeat):
        for label, command in commands.items():
            done = measure(command)
            best[label] = done.best(best.get(label, done))
    library = best["library convert()"]
    for label, run in best.items():
        figures = f"{run.seconds:8.1f}{size / run.seconds:8.0f}{run.cpu:8.1f}{run.peak:9.0f}"
        ratios = f"{library.seconds / run.seconds:7.2f}x{library.cpu / run.cpu:7.2f}x{run.peak / library.peak:7.2f}x"
        print(f"{kind.value:8}{label:24}{figures}{ratios}", flush=True)
    result.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
