"""The native library called directly, without a server: what a picture costs at the least.

``python -m benchmarks.bare MODEL FD`` loads the model, then answers each line on standard input, a JSON object with ``size``,
``steps`` and ``seed``, with one line on the file descriptor FD: milliseconds of the call and the digest of its pixels.
(Standard output is the library's.)
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from sdrest.engine.child.environment import NATIVE_STACK_BYTES, native_environment
from sdrest.engine.child.patience import Patience


class Bare:
    """A process that holds the model; the parent's side."""

    def __init__(self, process: subprocess.Popen[str], replies: Any) -> None:
        self._process = process
        self._replies = replies

    def generate(self, size: int, steps: int, seed: int, prompt: str) -> tuple[float, str]:
        """Milliseconds of one ``generate_image`` call and the digest of its pixels."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"size": size, "steps": steps, "seed": seed, "prompt": prompt}) + "\n")
        self._process.stdin.flush()
        milliseconds, digest = json.loads(self._replies.readline())
        return milliseconds, digest


@contextlib.contextmanager
def bare_library(model: Path, environment: Mapping[str, str] | None = None) -> Iterator[Bare]:
    """The library in a process of its own with ``model`` loaded, for the length of the block; ``environment``: more variables."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare", str(model), str(write)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(write,),
        text=True,
        cwd=ROOT,
        env=native_environment({**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}),
    )
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as replies:
        replies.readline()  # loaded
        try:
            yield Bare(process, replies)
        finally:
            process.kill()
            process.wait()


def _serve(model: str, descriptor: int) -> None:
    from stable_diffusion_cpp import stable_diffusion_cpp as sd  # noqa: PLC0415 - only in the process that uses it

    silent_log = sd.sd_log_callback(lambda *_: None)
    silent_progress = sd.sd_progress_callback(lambda *_: None)
    sd.sd_set_log_callback(silent_log, None)
    sd.sd_set_progress_callback(silent_progress, None)
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    context = sd.sd_ctx_params_t()
    sd._lib.sd_ctx_params_init(ctypes.byref(context))
    context.model_path = model.encode()
    context.free_params_immediately = False
    context.vae_decode_only = True
    handle = sd.new_sd_ctx(context)
    patience, threads = Patience.of_this_process(), sd.sd_get_num_physical_cores()
    with os.fdopen(descriptor, "w", encoding="utf-8") as replies:
        print("loaded", file=replies, flush=True)
        for line in sys.stdin:
            wanted = json.loads(line)
            if patience is not None:
                patience.begin(threads)
            parameters = sd.sd_img_gen_params_t()
            sd._lib.sd_img_gen_params_init(ctypes.byref(parameters))
            parameters.prompt = wanted["prompt"].encode()
            parameters.width = parameters.height = wanted["size"]
            parameters.seed = wanted["seed"]
            parameters.sample_params.sample_steps = wanted["steps"]
            parameters.sample_params.guidance.txt_cfg = 1.0
            started_at = time.perf_counter()
            pictures = sd.generate_image(handle, parameters)
            milliseconds = (time.perf_counter() - started_at) * 1000
            if patience is not None:
                patience.end()
            data = pictures[0].data
            pixels = ctypes.string_at(data, pictures[0].width * pictures[0].height * pictures[0].channel)
            libc.free(data)
            libc.free(pictures)
            print(json.dumps((milliseconds, hashlib.sha256(pixels).hexdigest())), file=replies, flush=True)


def main() -> None:
    """Serve the parent; on a thread with the stack that the tokenizers need."""
    threading.stack_size(NATIVE_STACK_BYTES)
    thread = threading.Thread(target=_serve, args=(sys.argv[1], int(sys.argv[2])))
    thread.start()
    thread.join()


if __name__ == "__main__":
    main()
