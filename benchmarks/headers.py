"""Header reading: model files recognised per second, cold and with the registry's cache.

    python -m benchmarks.headers [--files 1000]

Writes checkpoints in the shape of SD 1.5 (1,131 tensors; safetensors and GGUF by turns; data are holes) and LoRA files
of the usual
kind (1,056 tensors) into a temporary folder, then scans them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from tests.model_files import write_gguf, write_safetensors
from tests.tiny.sd1 import checkpoint
from tests.tiny.unet import SD1

_LORA_LAYERS = 176


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    options = parser.parse_args()
    whole = {tensor.name: tensor.shape for tensor in checkpoint(SD1)}
    lora: dict[str, tuple[int, ...]] = {}
    for layer in range(_LORA_LAYERS):
        for part in ("attn1_to_q", "attn2_to_k", "ff_net_2"):
            name = f"lora_unet_down_blocks_{layer}_attentions_0_transformer_blocks_0_{part}"
            lora |= {f"{name}.lora_down.weight": (16, 768), f"{name}.lora_up.weight": (320, 16)}
    with tempfile.TemporaryDirectory() as temporary:
        models, state = Path(temporary) / "models", Path(temporary) / "state"
        for number in range(options.files):
            if number % 2:
                write_safetensors(models / f"lora/{number}.safetensors", lora, {"ss_base_model_version": "sd_v1"})
            elif number % 4:
                write_gguf(models / f"checkpoints/{number}.gguf", whole)
            else:
                write_safetensors(models / f"checkpoints/{number}.safetensors", whole)
        size = sum(path.stat().st_size for path in models.rglob("*.*")) / 1e9
        print(f"{options.files} files, {size:.0f} GB by their sizes, {len(whole)} or {len(lora)} tensors each")
        registry = Registry(Folders(models), state)
        for label in ("first scan", "refresh"):
            report(label, registry, options.files)
        report("start with the cache of an earlier run", Registry(Folders(models), state), options.files)


def report(label: str, registry: Registry, files: int) -> None:
    """Refresh once and print the rate."""
    started, cpu = time.perf_counter(), time.process_time()
    total = registry.refresh().total
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    assert total == files
    print(f"{label:40}{seconds:8.2f} s{files / seconds:10.0f} files/s   ({used:.2f} s of processor time)", flush=True)


if __name__ == "__main__":
    main()
