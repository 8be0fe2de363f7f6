"""Writing model files: GGUF through the ``gguf`` package, safetensors by hand.

Safetensors is written by hand because two fixtures need files that no careful writer makes: files in which all big
tensors share one block of bytes (so that an architecture with fixed widths still fits in some megabytes), and
truncated ones. Format: https://huggingface.co/docs/safetensors/index and
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import gguf
import numpy as np

from tests.tiny.tensors import Fill, Tensor, fill

Quantization = gguf.GGMLQuantizationType


def write_gguf(
    path: Path,
    architecture: str,
    tensors: Iterable[Tensor],
    seed: int,
    types: Mapping[str, Quantization] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Write a GGUF file, tensors in the given order.

    ``types`` names the tensors stored in another type than the rule: F16 for two dimensions and more, F32 for vectors.
    ``texts`` are further string metadata. The row length of a quantised tensor must be a multiple of the type's block.
    """
    writer = gguf.GGUFWriter(path, architecture)
    for key, text in (texts or {}).items():
        writer.add_string(key, text)
    for tensor in tensors:
        values = fill(tensor, seed)
        kind = (types or {}).get(tensor.name, Quantization.F16 if values.ndim > 1 else Quantization.F32)
        writer.add_tensor(tensor.name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_safetensors(path: Path, tensors: Iterable[Tensor], seed: int, dtype: str = "F16") -> Path:
    """Write a regular safetensors file; ``dtype`` is F16 or F32 for two dimensions and more, vectors are always F32."""
    header: dict[str, object] = {}
    offset = 0
    blocks: list[bytes] = []
    for tensor in tensors:
        kind = dtype if len(tensor.shape) > 1 else "F32"
        block = fill(tensor, seed).astype(_NUMPY[kind]).tobytes()
        header[tensor.name] = _entry(kind, tensor, offset)
        offset += len(block)
        blocks.append(block)
    with path.open("wb") as file:
        file.write(_head(header))
        file.writelines(blocks)
    return path


def write_aliased_safetensors(
    path: Path, tensors: Iterable[Tensor], seed: int, *, shared_from: int = 1 << 16, deviation: float = 0.02
) -> Path:
    """Write a safetensors file in which every random tensor of at least ``shared_from`` values points at one shared
    block.

    The block is F16, normal with standard deviation ``deviation``, and as long as the biggest tensor.
    stable-diffusion.cpp reads such files; other tools rightly refuse overlapping offsets, so this is for fixtures
    only. Memory and computing time of the loaded model are those of the full architecture.
    """
    tensors = list(tensors)
    random = {Fill.WEIGHT, Fill.NORMAL}
    shared = {tensor.name for tensor in tensors if tensor.elements >= shared_from and tensor.fill in random}
    length = max((tensor.elements for tensor in tensors if tensor.name in shared), default=0)
    block = fill(Tensor("shared block", (length,), Fill.NORMAL, deviation), seed).astype(np.float16).tobytes()
    header: dict[str, object] = {}
    blocks = [block]
    offset = len(block)
    for tensor in tensors:
        if tensor.name in shared:
            header[tensor.name] = _entry("F16", tensor, 0)
            continue
        kind = "F16" if len(tensor.shape) > 1 else "F32"
        own = fill(tensor, seed).astype(_NUMPY[kind]).tobytes()
        header[tensor.name] = _entry(kind, tensor, offset)
        offset += len(own)
        blocks.append(own)
    with path.open("wb") as file:
        file.write(_head(header))
        file.writelines(blocks)
    return path


_NUMPY = {"F16": np.float16, "F32": np.float32}


def _entry(kind: str, tensor: Tensor, offset: int) -> dict[str, object]:
    size = tensor.elements * np.dtype(_NUMPY[kind]).itemsize
    return {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}


def _head(header: Mapping[str, object]) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
