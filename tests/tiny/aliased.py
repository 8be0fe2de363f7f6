"""Files in which all big tensors share a few blocks of bytes, so that a model of fixed widths fits in some megabytes.

Only stable-diffusion.cpp reads such files (its safetensors reader, and the GGUF reader it falls back to when ggml's own
refuses): other tools rightly refuse overlapping offsets, so they are fixtures and nothing else. Memory and computing time
of the loaded model are those of the full architecture; quantised, the memory is that of the quantised one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import gguf
import numpy as np

from tests.tiny.files import NUMPY, Quantization, safetensors_entry, safetensors_head
from tests.tiny.tensors import Fill, Tensor, fill

SHARED_FROM = 1 << 16
"""Random tensors of at least so many values share."""
DEVIATION = 0.02
"""Standard deviation of a shared block, whatever the fan-in of the tensor."""
ALIGNMENT = 32


def write_aliased_safetensors(path: Path, tensors: Iterable[Tensor], seed: int) -> Path:
    """Write a safetensors file with one shared block of F16, as long as the biggest tensor."""
    tensors = list(tensors)
    length = max(tensor.elements for tensor in tensors if _shares(tensor))
    blocks = [_shared(length, seed).astype(np.float16).tobytes()]
    header: dict[str, object] = {}
    offset = len(blocks[0])
    for tensor in tensors:
        if _shares(tensor):
            header[tensor.name] = safetensors_entry("F16", tensor, 0)
            continue
        kind = "F16" if len(tensor.shape) > 1 else "F32"
        blocks.append(fill(tensor, seed).astype(NUMPY[kind]).tobytes())
        header[tensor.name] = safetensors_entry(kind, tensor, offset)
        offset += len(blocks[-1])
    with path.open("wb") as file:
        file.write(safetensors_head(header))
        file.writelines(blocks)
    return path


def write_aliased_gguf(path: Path, architecture: str, tensors: Iterable[Tensor], seed: int) -> Path:
    """Write a GGUF file with a shared block of Q4_0 for big matrices and one of F16 for big convolutions."""
    tensors = list(tensors)
    offsets: dict[Quantization, int] = {}
    blocks = bytearray()
    for kind in (Quantization.Q4_0, Quantization.F16):
        length = max((tensor.elements for tensor in tensors if _shares(tensor) and _kind(tensor) is kind), default=0)
        offsets[kind] = len(blocks)
        block = _shared(-(-length // ALIGNMENT) * ALIGNMENT, seed)
        blocks += _padded(gguf.quantize(block.reshape(-1, ALIGNMENT), kind).tobytes())
    infos = bytearray()
    for tensor in tensors:
        kind = _kind(tensor)
        if _shares(tensor):
            offset = offsets[kind]
        else:
            offset = len(blocks)
            blocks += _padded(gguf.quantize(fill(tensor, seed), kind).tobytes())
        dimensions = tensor.shape[::-1]
        infos += _string(tensor.name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        infos += struct.pack("<IQ", kind, offset)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 1)
    head += _string("general.architecture") + struct.pack("<I", gguf.GGUFValueType.STRING) + _string(architecture)
    path.write_bytes(_padded(head + bytes(infos)) + bytes(blocks))
    return path


def _shares(tensor: Tensor) -> bool:
    return tensor.elements >= SHARED_FROM and tensor.fill in {Fill.WEIGHT, Fill.NORMAL}


def _shared(length: int, seed: int) -> np.ndarray:
    return fill(Tensor("shared block", (length,), Fill.NORMAL, DEVIATION), seed)


def _kind(tensor: Tensor) -> Quantization:
    if len(tensor.shape) == 1 or tensor.fill is Fill.CONSTANT:
        return Quantization.F32
    if len(tensor.shape) == 2 and tensor.shape[1] % ALIGNMENT == 0:
        return Quantization.Q4_0
    return Quantization.F16


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
