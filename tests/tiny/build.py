"""The single entry: tiny models by name.

``python -m tests.tiny.build NAME OUT`` writes one model file into the folder OUT and prints its path. How each is loaded
is in ``recipes.py`` and in the docstring of its module; ``probe.py`` tries one. ``sd1_large`` is not tiny: 2.1 GB.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.tiny import clip, embedding, ernie, esrgan, flux2_vae, klein, large, lora, ovis, sd1, sdxl, tae, unet, wan

SEED = 20260506

WRITERS: dict[str, tuple[str, Callable[[Path, int], Path]]] = {
    "embedding": ("tinyword.safetensors", partial(embedding.write, dtype="F32")),
    "embedding_f16": ("tinyword_f16.safetensors", partial(embedding.write, dtype="F16")),
    "ernie": ("ernie.gguf", ernie.write),
    "ernie_lora": ("ernie_lora.safetensors", partial(lora.write, layers=lora.ERNIE)),
    "ernie_lora_truncated": ("ernie_lora_truncated.safetensors", partial(lora.write_truncated, layers=lora.ERNIE)),
    "ernie_lora_wrong_width": ("ernie_lora_wrong_width.safetensors", partial(lora.write, layers=lora.ERNIE, excess=32)),
    "esrgan": ("esrgan.safetensors", esrgan.write),
    "flux2_vae": ("flux2_vae.safetensors", flux2_vae.write),
    "klein": ("klein.gguf", klein.write),
    "ovis": ("ovis.gguf", ovis.write),
    "ovis_lora": ("ovis_lora.safetensors", partial(lora.write, layers=lora.OVIS)),
    "ovis_lora_truncated": ("ovis_lora_truncated.safetensors", partial(lora.write_truncated, layers=lora.OVIS)),
    "ovis_lora_wrong_width": ("ovis_lora_wrong_width.safetensors", partial(lora.write, layers=lora.OVIS, excess=32)),
    "controlnet": ("controlnet.safetensors", sd1.write_controlnet),
    "sd1": ("sd1.safetensors", partial(sd1.write, shape=unet.SD1)),
    "sd1_large": ("sd1_large.safetensors", large.write),
    "sd1_lora": ("sd1_lora.safetensors", partial(lora.write_kohya, layers=lora.SD1)),
    "sd1_tiny": ("sd1_tiny.safetensors", partial(sd1.write, shape=unet.SD1_TINY)),
    "photomaker": ("photomaker.safetensors", sdxl.write_photomaker),
    "sdxl": ("sdxl.gguf", sdxl.write),
    "sdxs": ("sdxs.safetensors", partial(sd1.write, shape=unet.SDXS)),
    "tae16": ("tae16.safetensors", partial(tae.write_image, channels=16)),
    "tae32": ("tae32.safetensors", partial(tae.write_image, channels=32)),
    "taehv": ("taehv.safetensors", tae.write_video),
    "taesd": ("taesd.safetensors", partial(tae.write_image, channels=4)),
    "clip_vision": ("clip_vision_h.safetensors", clip.write_vision),
    "clip_vision_other": ("clip_vision_other.safetensors", partial(clip.write_vision, change=1)),
    "taehv48": ("taehv48.safetensors", partial(tae.write_video, channels=48)),
    "wan": ("wan.gguf", wan.write),
    "wan_first_last": ("wan_first_last.gguf", partial(wan.write, shape=wan.FLF2V)),
    "wan_half": ("wan_half.safetensors", wan.write_half),
    "wan_high_noise": ("wan_high_noise.gguf", wan.write_high_noise),
    "wan_lora": ("wan_lora.safetensors", partial(lora.write, layers=lora.WAN)),
    "wan_other_high_noise": ("wan_other_high_noise.gguf", partial(wan.write_high_noise, change=2)),
    "wan_i2v": ("wan_i2v.gguf", partial(wan.write, shape=wan.I2V)),
    "wan_ti2v": ("wan_ti2v.gguf", partial(wan.write, shape=wan.TI2V)),
    "wan_vace": ("wan_vace.gguf", partial(wan.write, shape=wan.VACE)),
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
