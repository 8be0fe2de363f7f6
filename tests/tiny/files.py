"""Writing model files: GGUF through the ``gguf`` package, safetensors by hand.

Safetensors is written by hand because the fixtures also need files that no careful writer makes, see ``aliased.py``.
Formats: https://huggingface.co/docs/safetensors/index and https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import gguf
import numpy as np

from tests.tiny.tensors import Tensor, fill

Quantization = gguf.GGMLQuantizationType
NUMPY = {"F16": np.float16, "F32": np.float32}


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
        block = fill(tensor, seed).astype(NUMPY[kind]).tobytes()
        header[tensor.name] = safetensors_entry(kind, tensor, offset)
        offset += len(block)
        blocks.append(block)
    with path.open("wb") as file:
        file.write(safetensors_head(header))
        file.writelines(blocks)
    return path


def safetensors_entry(kind: str, tensor: Tensor, offset: int) -> dict[str, object]:
    """The header entry of one tensor whose data begins at ``offset`` of the data."""
    size = tensor.elements * np.dtype(NUMPY[kind]).itemsize
    return {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}


def safetensors_head(header: Mapping[str, object]) -> bytes:
    """The head of a file: the length of the header, then the header padded to a multiple of 8."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
