"""A small ctypes harness over the native library: load one model file, draw, free. Used by the checks and the tests."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

os.environ.setdefault("GOMP_SPINCOUNT", "5000")
os.environ.setdefault("GGML_NO_BACKTRACE", "1")

from stable_diffusion_cpp import stable_diffusion_cpp as sd

_NATIVE = sd._lib  # noqa: SLF001  (the package wraps no *_params_init)
_LIBC = ctypes.CDLL(None)
_LIBC.free.argtypes = [ctypes.c_void_p]


@dataclass(slots=True)
class Draw:
    """One request. Pictures are ``uint8`` [H, W, 3], masks [H, W] with 255 where the picture may change."""

    prompt: str
    negative_prompt: str = ""
    width: int = 128
    height: int = 128
    steps: int = 12
    cfg_scale: float = 3.0
    seed: int = 42
    strength: float = 0.75
    init_image: np.ndarray | None = None
    mask_image: np.ndarray | None = None
    loras: dict[str, float] = field(default_factory=dict)


class Library:
    """A loaded model file that holds the diffusion model, the text encoder and the tiny autoencoder together."""

    def __init__(self, path: Path, threads: int = 2, log: bool = False) -> None:
        self._log = sd.sd_log_callback(
            lambda level, text, _data: print(text.decode(), end="") if log or level >= 3 else None
        )
        sd.sd_set_log_callback(self._log, None)
        params = sd.sd_ctx_params_t()
        _NATIVE.sd_ctx_params_init(ctypes.byref(params))
        params.model_path = params.taesd_path = str(path).encode()
        params.vae_decode_only = False
        params.free_params_immediately = False
        params.n_threads = threads
        self._context = sd.new_sd_ctx(params)
        if not self._context:
            raise RuntimeError(f"the library refused {path}")

    def close(self) -> None:
        """Free the context."""
        if self._context:
            sd.free_sd_ctx(self._context)
            self._context = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def draw(self, request: Draw) -> np.ndarray:
        """Run one generation; the picture as ``uint8`` [height, width, 3]."""
        params = sd.sd_img_gen_params_t()
        _NATIVE.sd_img_gen_params_init(ctypes.byref(params))
        kept: list[Any] = []
        params.prompt = request.prompt.encode()
        params.negative_prompt = request.negative_prompt.encode()
        params.width, params.height = request.width, request.height
        params.seed, params.batch_count = request.seed, 1
        params.strength = request.strength
        params.sample_params.sample_steps = request.steps
        params.sample_params.sample_method = 0
        params.sample_params.scheduler = 0
        params.sample_params.guidance.txt_cfg = request.cfg_scale
        if request.init_image is not None:
            params.init_image = _image(request.init_image, kept)
        if request.mask_image is not None:
            params.mask_image = _image(request.mask_image[..., None], kept)
        if request.loras:
            loras = (sd.sd_lora_t * len(request.loras))()
            for slot, (path, multiplier) in zip(loras, request.loras.items(), strict=True):
                slot.path, slot.multiplier, slot.is_high_noise = path.encode(), multiplier, False
            params.loras, params.lora_count = loras, len(request.loras)
        found = sd.generate_image(self._context, params)
        if not found or not found[0].data:
            raise RuntimeError(f"the library drew nothing for {request.prompt!r}")
        image = found[0]
        shape = (image.height, image.width, image.channel)
        pixels = np.ctypeslib.as_array(image.data, shape=(shape[0] * shape[1] * shape[2],)).reshape(shape).copy()
        _LIBC.free(ctypes.cast(image.data, ctypes.c_void_p))
        _LIBC.free(ctypes.cast(found, ctypes.c_void_p))
        return pixels


def _image(pixels: np.ndarray, kept: list[Any]) -> sd.sd_image_t:
    data = np.ascontiguousarray(pixels, np.uint8)
    kept.append(data)
    height, width, channel = data.shape
    return sd.sd_image_t(width, height, channel, data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))


def run(model: Path, requests: Path, out: Path, threads: int = 2) -> None:
    """Draw a JSON list of requests (the fields of ``Draw``; pictures and masks as paths of PNG files, or as ``#N``, the
    picture of request N) and save ``out/000.png`` and so on, with ``out/seconds.json``: by the clock and by the processor."""
    drawn: list[np.ndarray] = []
    seconds: dict[str, list[float]] = {"clock": [], "processor": []}
    with Library(model, threads) as library:
        for number, fields in enumerate(json.loads(requests.read_text())):
            for name, mode in (("init_image", "RGB"), ("mask_image", "L")):
                given = fields.get(name)
                if isinstance(given, str):
                    picture = (
                        drawn[int(given[1:])] if given.startswith("#") else np.asarray(Image.open(given).convert(mode))
                    )
                    fields[name] = picture
            start, used = time.perf_counter(), time.process_time()
            drawn.append(library.draw(Draw(**fields)))
            seconds["clock"].append(time.perf_counter() - start)
            seconds["processor"].append(time.process_time() - used)
            Image.fromarray(drawn[-1]).save(out / f"{number:03}.png")
    (out / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=run.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("requests", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    run(arguments.model, arguments.requests, arguments.out, arguments.threads)
