"""The single entry: tiny models by name.

``python -m tests.tiny.build NAME OUT`` writes one model file into the folder OUT and prints its path.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.tiny import ernie, esrgan, flux2_vae, lora, ovis, tae

SEED = 20260506

WRITERS: dict[str, tuple[str, Callable[[Path, int], Path]]] = {
    "ernie": ("ernie.gguf", ernie.write),
    "ernie_lora": ("ernie_lora.safetensors", partial(lora.write, layers=lora.ERNIE)),
    "ernie_lora_truncated": ("ernie_lora_truncated.safetensors", partial(lora.write_truncated, layers=lora.ERNIE)),
    "ernie_lora_wrong_width": ("ernie_lora_wrong_width.safetensors", partial(lora.write, layers=lora.ERNIE, excess=32)),
    "esrgan": ("esrgan.safetensors", esrgan.write),
    "flux2_vae": ("flux2_vae.safetensors", flux2_vae.write),
    "ovis": ("ovis.gguf", ovis.write),
    "ovis_lora": ("ovis_lora.safetensors", partial(lora.write, layers=lora.OVIS)),
    "ovis_lora_truncated": ("ovis_lora_truncated.safetensors", partial(lora.write_truncated, layers=lora.OVIS)),
    "ovis_lora_wrong_width": ("ovis_lora_wrong_width.safetensors", partial(lora.write, layers=lora.OVIS, excess=32)),
    "tae16": ("tae16.safetensors", partial(tae.write_image, channels=16)),
    "tae32": ("tae32.safetensors", partial(tae.write_image, channels=32)),
    "taesd": ("taesd.safetensors", partial(tae.write_image, channels=4)),
}
"""Name → (file name, writer)."""


def file_of(name: str, folder: Path) -> Path:
    """Where ``build(name, folder)`` puts its file."""
    return folder / WRITERS[name][0]


def build(name: str, folder: Path) -> Path:
    """Write the tiny model ``name`` into ``folder`` (made if missing) and return its path; an existing file is
    overwritten.

    Raises KeyError for a name that is not in :data:`WRITERS`.
    """
    file_name, write = WRITERS[name]
    folder.mkdir(parents=True, exist_ok=True)
    return write(folder / file_name, SEED)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.tiny.build", description="Write a tiny model file.")
    parser.add_argument("name", choices=sorted(WRITERS))
    parser.add_argument("out", type=Path, help="folder to write into")
    arguments = parser.parse_args()
    print(build(arguments.name, arguments.out))


if __name__ == "__main__":
    main()
