"""Load tiny models in this process, make one 64x64 picture, print what it took as one line of JSON.

``python -m tests.tiny.probe RECIPE FOLDER``: always in a process of its own, for the native library may end it. The
line holds the picture's size, the standard deviation of its values (0: flat, which is how the library shows NaN), its
SHA-256, seconds to load and to generate, and memory after both. Library messages go to stderr.
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
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.tiny.recipes import RECIPES, Recipe

STACK_BYTES = 64 << 20


def probe(recipe: Recipe, folder: Path, size: int, seed: int, verbose: bool) -> dict[str, Any]:
    """Load, generate, measure; ``{"loaded": False}`` or ``{"generated": False}`` where the library gives NULL."""
    # Read when the library loads: a bounded spin, for other processes are busy beside this one, and no backtrace by
    # gdb.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    from stable_diffusion_cpp import stable_diffusion_cpp as sd

    @sd.sd_log_callback
    def log(level: int, text: bytes, _data: object) -> None:
        if verbose or level >= 2:
            sys.stderr.write(text.decode(errors="replace"))

    sd.sd_set_log_callback(log, None)
    from tests.tiny.build import file_of

    context = sd.sd_ctx_params_t()
    sd._lib.sd_ctx_params_init(ctypes.byref(context))
    context.free_params_immediately = False
    context.vae_decode_only = recipe.decode_only
    context.n_threads = 2
    for name, model in recipe.files.items():
        setattr(context, name, str(file_of(model, folder)).encode())
    started = time.perf_counter()
    handle = sd.new_sd_ctx(context)
    loaded = time.perf_counter()
    if not handle:
        return {"loaded": False}
    memory_loaded = psutil.Process().memory_info().rss
    parameters = sd.sd_img_gen_params_t()
    sd._lib.sd_img_gen_params_init(ctypes.byref(parameters))
    parameters.prompt = recipe.prompt.encode()
    parameters.width = parameters.height = size
    parameters.seed = seed
    parameters.sample_params.sample_steps = recipe.steps
    parameters.sample_params.guidance.txt_cfg = recipe.cfg_scale
    pictures = sd.generate_image(handle, parameters)
    done = time.perf_counter()
    if not pictures:
        return {"loaded": True, "generated": False}
    picture = pictures[0]
    pixels = np.ctypeslib.as_array(picture.data, (picture.height, picture.width, picture.channel)).copy()
    return {
        "loaded": True,
        "generated": True,
        "width": picture.width,
        "height": picture.height,
        "channels": picture.channel,
        "deviation": round(float(pixels.std()), 2),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "load_s": round(loaded - started, 2),
        "generate_s": round(done - loaded, 2),
        "loaded_mb": memory_loaded >> 20,
        "peak_mb": psutil.Process().memory_info().rss >> 20,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.tiny.probe", description=__doc__)
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("folder", type=Path, help="where the model files are")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    report: dict[str, Any] = {}

    def run() -> None:
        report.update(
            probe(RECIPES[arguments.recipe], arguments.folder, arguments.size, arguments.seed, arguments.verbose)
        )

    # The tokenizer's regular expressions recurse deeply.
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
