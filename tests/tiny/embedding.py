"""Textual-inversion embeddings for Stable Diffusion 1: two vectors of 768, under the name ``emb_params``.

They go into ``sd_ctx_params_t.embeddings`` (name and path) when the model is loaded; the name, one lower-case word, stands
for the vectors in a prompt. The library puts the file's bytes behind its token table, which then is float32: only a file
in F32 means what it says. It reads past the end of one in F16, and that gives NaN, shown as one flat picture.
"""

from __future__ import annotations

from pathlib import Path

from tests.tiny.files import write_safetensors
from tests.tiny.tensors import Fill, Tensor

VECTORS = 2
WIDTH = 768


def write(path: Path, seed: int, dtype: str) -> Path:
    """Write an embedding; ``dtype`` F32 is a good one, F16 a bad one."""
    return write_safetensors(path, [Tensor("emb_params", (VECTORS, WIDTH), Fill.NORMAL, 0.5)], seed, dtype)
