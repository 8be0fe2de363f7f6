"""How much memory a model's weights take once loaded, from headers alone."""

from __future__ import annotations

from collections.abc import Iterable

from sdrest.core.tensor_types import TensorType
from sdrest.registry.header import Header, TensorInfo

#: The backend's alignment of each tensor (``ModelLoader::get_params_mem_size``).
_ALIGNMENT_BYTES = 32
#: Element types that the library turns into others as it reads.
_READ_AS = {
    TensorType.F8_E4M3: TensorType.F16,
    TensorType.F8_E5M2: TensorType.F16,
    TensorType.F64: TensorType.F32,
    TensorType.I64: TensorType.I32,
}


def loaded_bytes(headers: Iterable[Header]) -> int:
    """Bytes of all weights in memory, at the types the library loads them in (quantized weights stay quantized)."""
    return sum(_tensor_bytes(tensor) for header in headers for tensor in header.tensors)


def _tensor_bytes(tensor: TensorInfo) -> int:
    kind = tensor.type
    if kind is None:
        return tensor.nbytes
    nbytes = _READ_AS.get(kind, kind).nbytes(tensor.shape)
    return -(-nbytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
