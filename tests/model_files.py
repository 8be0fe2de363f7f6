"""Model files with real headers and no weights: the tensor data is a hole in a sparse file.

For tests of everything that reads headers. Files that the library can load come from ``tests.tiny``.
"""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from sdrest.core.tensor_types import TensorType

Shapes = Mapping[str, tuple[int, ...]]
_DTYPES = {TensorType.F16: "F16", TensorType.F32: "F32", TensorType.BF16: "BF16", TensorType.I64: "I64"}


def safetensors_header(entries: object) -> bytes:
    """The length and the JSON text that begin a safetensors file."""
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def write_safetensors(
    path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None, kind: TensorType = TensorType.F16
) -> Path:
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, shape in shapes.items():
        end = offset + kind.nbytes(shape)
        entries[name] = {"dtype": _DTYPES[kind], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    return _write_sparse(path, safetensors_header(entries), offset)


def gguf_string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def write_gguf(
    path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None, kind: TensorType = TensorType.F16
) -> Path:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata or {}))
    for key, value in (metadata or {}).items():
        head += gguf_string(key) + struct.pack("<I", 8) + gguf_string(value)
    offset = 0
    for name, shape in shapes.items():
        head += gguf_string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape[::-1])
        head += struct.pack("<IQ", kind.layout.ggml_id or 0, offset)
        offset += -(-kind.nbytes(shape) // 32) * 32
    head += bytes(-len(head) % 32)
    return _write_sparse(path, head, offset)


def _write_sparse(path: Path, head: bytes, data: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + data)
    return path


class _Storage:
    def __init__(self, key: str, elements: int) -> None:
        self.key, self.elements = key, elements


class _TorchPickler(
    pickle._Pickler
):  # the Python one, because only it lets GLOBAL be written for names that cannot be imported
    """Writes the pickle that ``torch.save`` writes for a state dictionary of half-precision tensors."""

    dispatch: ClassVar[dict[type, object]] = dict(pickle._Pickler.dispatch)

    def persistent_id(self, obj: object) -> object:
        if isinstance(obj, _Storage):
            return ("storage", _Name("torch", "HalfStorage"), obj.key, "cpu", obj.elements)
        return None


class _Name:
    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Tensor:
    def __init__(self, key: str, shape: tuple[int, ...]) -> None:
        self.key, self.shape = key, shape


def _save_name(pickler: pickle._Pickler, obj: _Name) -> None:
    pickler.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")


def _save_tensor(pickler: pickle._Pickler, obj: _Tensor) -> None:
    elements, stride = 1, []
    for size in reversed(obj.shape):
        stride.insert(0, elements)
        elements *= size
    arguments = (_Storage(obj.key, elements), 0, obj.shape, tuple(stride), False, {})
    pickler.save(_Name("torch._utils", "_rebuild_tensor_v2"))
    pickler.save(arguments)
    pickler.write(pickle.REDUCE)


_TorchPickler.dispatch[_Name] = _save_name
_TorchPickler.dispatch[_Tensor] = _save_tensor


def torch_pickle(shapes: Shapes, extra: Mapping[str, object] | None = None) -> bytes:
    """``data.pkl`` of a state dictionary under ``state_dict``, with further top-level members."""
    import io

    stream = io.BytesIO()
    state = {name: _Tensor(str(index), shape) for index, (name, shape) in enumerate(shapes.items())}
    _TorchPickler(stream, protocol=2).dump({**(extra or {}), "state_dict": state})
    return stream.getvalue()


def write_torch_zip(path: Path, shapes: Shapes, pickled: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", torch_pickle(shapes) if pickled is None else pickled)
        for index, shape in enumerate(shapes.values()):
            archive.writestr(f"archive/data/{index}", bytes(TensorType.F16.nbytes(shape)))
    return path
