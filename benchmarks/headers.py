"""Header reading: model files recognised per second, cold and with the registry's cache, and damaged ones.

``python -m benchmarks headers`` writes checkpoints in the shape of SD 1.5 (1,131 tensors; safetensors and GGUF by turns; data are
holes) and LoRA files of the usual kind (1,056 tensors) into a temporary folder, then scans them.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.results import Result
from benchmarks.rounds import some
from sdrest.registry.folders import Folders
from sdrest.registry.readers.header import HeaderError
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.inspect import header_problems
from sdrest.registry.registry import Registry
from tests.model_files import write_gguf, write_safetensors
from tests.tiny.sd1 import checkpoint
from tests.tiny.unet import SD1
from tests.unit.registry.readers.test_damaged_headers import mutants

FILES = 1000
_LORA_LAYERS = 176


async def measure(files: int = FILES) -> Result:
    """Run it."""
    return await asyncio.to_thread(_measure, some(files))


def _measure(files: int) -> Result:
    with tempfile.TemporaryDirectory() as name:
        models, state = Path(name) / "models", Path(name) / "state"
        _write_models(models, files)
        size = sum(path.stat().st_size for path in models.rglob("*.*")) / 1e9
        result = Result(
            "headers",
            "Reading headers",
            f"{files} model files ({size:.0f} GB by their sizes; half of them checkpoints of 1,131 tensors, half LoRAs of 1,056) are "
            "listed by the registry on one thread; then the 300 damaged files of the unit tests are read one by one.",
        )
        registry = Registry(Folders(models), state)
        rows = [
            _timed("first scan", lambda: registry.refresh().total, files),
            _timed("refresh, nothing new", lambda: registry.refresh().total, files),
            _timed("looking whether anything came or went", registry.is_stale, files),
            _timed("start with the cache of an earlier run", lambda: Registry(Folders(models), state).refresh(), files),
        ]
        result.add_table("Listing", ("what", "seconds", "files/s", "processor seconds"), rows)
        _read_damaged(Path(name) / "damaged", result)
    return result


def _write_models(folder: Path, files: int) -> None:
    whole = {tensor.name: tensor.shape for tensor in checkpoint(SD1)}
    lora: dict[str, tuple[int, ...]] = {}
    for layer in range(_LORA_LAYERS):
        for part in ("attn1_to_q", "attn2_to_k", "ff_net_2"):
            name = f"lora_unet_down_blocks_{layer}_attentions_0_transformer_blocks_0_{part}"
            lora |= {f"{name}.lora_down.weight": (16, 768), f"{name}.lora_up.weight": (320, 16)}
    for number in range(files):
        if number % 2:
            write_safetensors(folder / f"lora/{number}.safetensors", lora, {"ss_base_model_version": "sd_v1"})
        elif number % 4:
            write_gguf(folder / f"checkpoints/{number}.gguf", whole)
        else:
            write_safetensors(folder / f"checkpoints/{number}.safetensors", whole)


def _timed(label: str, work: Callable[[], object], files: int) -> tuple[str, str, str, str]:
    started, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    return label, f"{seconds:.3f}", f"{files / seconds:.0f}", f"{used:.3f}"


def _read_damaged(folder: Path, result: Result) -> None:
    folder.mkdir()
    file, slowest, reasons, problems, sound = folder / "damaged", 0.0, 0, 0, 0
    for data in mutants(folder):
        file.write_bytes(data)
        started = time.process_time()
        try:
            found = header_problems(read_header(file))
        except HeaderError:
            reasons += 1
        else:
            problems += bool(found)
            sound += not found
        slowest = max(slowest, time.process_time() - started)
    total = reasons + problems + sound
    result.add("damaged files read without a crash", f"{total} of 300", "all", met=total == 300)
    result.add("refused with a reason", f"{reasons}")
    result.add("read, with problems named", f"{problems}")
    result.add("read, the damage lies in names or values that may be anything", f"{sound}")
    result.add("longest processor time for one", f"{slowest * 1000:.0f} ms", "at most 2000 ms", met=slowest <= 2)
