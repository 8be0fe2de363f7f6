"""Load tiny models in this process, make one 64x64 picture, write what it took as JSON.

``python -m tests.tiny.probe RECIPE FOLDER --report FILE``: always in a process of its own, for the native library may end
it. The report holds the picture's size, the standard deviation of its values (0: flat, which is how the library shows
NaN), its SHA-256, seconds to load and to generate, and memory after both. Standard output is no place for it: the
library writes there too. Its messages go to stderr.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from tests.tiny.build import build, file_of
from tests.tiny.recipes import BAD, RECIPES, Recipe

# Read when the library loads: a bounded spin, for other processes are busy beside this one, and no backtrace by gdb.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
from stable_diffusion_cpp import stable_diffusion_cpp as sd

STACK_BYTES = 64 << 20
Pixels = NDArray[np.uint8]


class Probe:
    """One recipe with the files of one folder; keeps what the C structures point at alive."""

    def __init__(self, recipe: Recipe, folder: Path, size: int, seed: int) -> None:
        self.recipe = recipe
        self.folder = folder
        self.size = size
        self.seed = seed
        self._alive: list[object] = []

    def run(self) -> dict[str, Any]:
        """Load, generate, measure; ``loaded`` or ``generated`` is False where the library gives NULL."""
        started = time.perf_counter()
        handle = self._load()
        loaded = time.perf_counter()
        if not handle:
            return {"loaded": False}
        memory = psutil.Process().memory_info().rss
        pictures = self._generate(handle)
        done = time.perf_counter()
        if not pictures:
            return {"loaded": True, "generated": False}
        return {
            "loaded": True,
            "generated": True,
            "pictures": len(pictures),
            "width": pictures[0].shape[1],
            "height": pictures[0].shape[0],
            "deviation": round(float(pictures[0].std()), 2),
            "mean": round(float(pictures[0].mean()), 2),
            "sha256": hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest(),
            "load_s": round(loaded - started, 2),
            "generate_s": round(done - loaded, 2),
            "loaded_mb": memory >> 20,
            "after_mb": psutil.Process().memory_info().rss >> 20,
            "first": pictures[0],
        }

    def _load(self) -> Any:
        if "esrgan_path" in self.recipe.files:
            return sd.new_upscaler_ctx(self._path(self.recipe.files["esrgan_path"]), False, False, 2, 0)
        context = sd.sd_ctx_params_t()
        sd._lib.sd_ctx_params_init(ctypes.byref(context))
        context.free_params_immediately = False
        context.vae_decode_only = self.recipe.decode_only
        context.n_threads = 2
        for name, model in self.recipe.files.items():
            setattr(context, name, self._path(model))
        if self.recipe.embeddings:
            entries = [
                sd.sd_embedding_t(word.encode(), self._path(file)) for word, file in self.recipe.embeddings.items()
            ]
            context.embeddings = self._array(sd.sd_embedding_t, entries)
            context.embedding_count = len(entries)
        return sd.new_sd_ctx(context)

    def _generate(self, handle: Any) -> list[Pixels]:
        if "esrgan_path" in self.recipe.files:
            return _taken([sd.upscale(handle, self._picture(3), 4)])
        if self.recipe.video_frames:
            return self._video(handle)
        parameters = sd.sd_img_gen_params_t()
        sd._lib.sd_img_gen_params_init(ctypes.byref(parameters))
        self._common(parameters)
        parameters.strength = self.recipe.strength
        if "init" in self.recipe.pictures:
            parameters.init_image = self._picture(3)
        if "mask" in self.recipe.pictures:
            parameters.mask_image = self._picture(1)
        if "control" in self.recipe.pictures:
            parameters.control_image = self._picture(3)
        if "ref" in self.recipe.pictures:
            parameters.ref_images = self._array(sd.sd_image_t, [self._picture(3)])
            parameters.ref_images_count = 1
        if "id" in self.recipe.pictures:
            parameters.pm_params.id_images = self._array(sd.sd_image_t, [self._picture(3)])
            parameters.pm_params.id_images_count = 1
        pictures = sd.generate_image(handle, parameters)
        return _taken([pictures[0]]) if pictures else []

    def _video(self, handle: Any) -> list[Pixels]:
        parameters = sd.sd_vid_gen_params_t()
        sd._lib.sd_vid_gen_params_init(ctypes.byref(parameters))
        self._common(parameters)
        parameters.video_frames = self.recipe.video_frames
        if "init" in self.recipe.pictures:
            parameters.init_image = self._picture(3)
        if "end" in self.recipe.pictures:
            parameters.end_image = self._picture(3)
        count = ctypes.c_int()
        frames = sd.generate_video(handle, parameters, ctypes.byref(count))
        return _taken([frames[i] for i in range(count.value)]) if frames else []

    def _common(self, parameters: Any) -> None:
        parameters.prompt = self.recipe.prompt.encode()
        parameters.width = parameters.height = self.size
        parameters.seed = self.seed
        parameters.clip_skip = self.recipe.clip_skip
        parameters.sample_params.sample_steps = self.recipe.steps
        parameters.sample_params.guidance.txt_cfg = self.recipe.cfg_scale
        if self.recipe.sampler is not None:
            parameters.sample_params.sample_method = self.recipe.sampler
        if self.recipe.scheduler is not None:
            parameters.sample_params.scheduler = self.recipe.scheduler
        if self.recipe.loras:
            entries = [sd.sd_lora_t(False, 1.0, self._path(name)) for name in self.recipe.loras]
            parameters.loras = self._array(sd.sd_lora_t, entries)
            parameters.lora_count = len(entries)

    def _path(self, model: str) -> bytes:
        path = file_of(model, self.folder)
        if not path.exists():
            build(model, self.folder)
        return str(path).encode()

    def _picture(self, channels: int) -> Any:
        """A diagonal ramp; as a mask, its bright half is 255."""
        ramp = np.add.outer(np.arange(self.size), np.arange(self.size)) * 255 // (2 * self.size - 2)
        if channels == 1:
            ramp = np.where(ramp > 127, 255, 0)
        pixels = np.ascontiguousarray(np.repeat(ramp[:, :, None], channels, axis=2).astype(np.uint8))
        self._alive.append(pixels)
        return sd.sd_image_t(self.size, self.size, channels, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))

    def _array(self, kind: Any, entries: list[Any]) -> Any:
        array = (kind * len(entries))(*entries)
        self._alive.append((array, entries))
        return array


def _taken(pictures: list[Any]) -> list[Pixels]:
    shapes = [(picture.height, picture.width, picture.channel) for picture in pictures]
    return [
        np.ctypeslib.as_array(picture.data, shape).copy()
        for picture, shape in zip(pictures, shapes, strict=True)
        if picture.data
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.tiny.probe", description=__doc__)
    parser.add_argument("recipe", choices=sorted(RECIPES | BAD))
    parser.add_argument("folder", type=Path, help="where the model files are; missing ones are built")
    parser.add_argument("--report", type=Path, default=Path("/dev/stdout"), help="file for the report")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prompt", help="another prompt than the recipe's")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--sampler", type=int, help="a number of sample_method_t")
    parser.add_argument("--scheduler", type=int, help="a number of scheduler_t")
    parser.add_argument("--clip-skip", type=int)
    parser.add_argument("--png", type=Path, help="write the picture here")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in ("prompt", "steps", "sampler", "scheduler", "clip_skip")}
    recipe = replace(
        (RECIPES | BAD)[arguments.recipe], **{name: value for name, value in options.items() if value is not None}
    )
    probe = Probe(recipe, arguments.folder, arguments.size, arguments.seed)
    report: dict[str, Any] = {}

    @sd.sd_log_callback
    def log(level: int, text: bytes, _data: object) -> None:
        if arguments.verbose or level >= 2:
            sys.stderr.write(text.decode(errors="replace"))

    @sd.sd_progress_callback
    def progress(_step: int, _steps: int, _time: float, _data: object) -> None:
        return

    sd.sd_set_log_callback(log, None)
    sd.sd_set_progress_callback(progress, None)
    # The tokenizer's regular expressions recurse deeply.
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=lambda: report.update(probe.run()))
    thread.start()
    thread.join()
    first = report.pop("first", None)
    if arguments.png and first is not None:
        Image.fromarray(first).save(arguments.png)
    arguments.report.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
