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


def _text(value: str) -> bytes:
    raw = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(raw)) + raw


def _int(value: int) -> bytes:
    return pickle.LONG1 + bytes([8]) + struct.pack("<q", value)


def _tuple(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def _tensor(key: str, shape: tuple[int, ...]) -> bytes:
    """The call of ``torch._utils._rebuild_tensor_v2`` that ``torch.save`` writes."""
    elements, strides = 1, list[int]()
    for size in reversed(shape):
        strides.insert(0, elements)
        elements *= size
    storage = _tuple(_text("storage"), b"ctorch\nHalfStorage\n", _text(key), _text("cpu"), _int(elements))
    sizes, steps = _tuple(*map(_int, shape)), _tuple(*map(_int, strides))
    arguments = _tuple(storage + pickle.BINPERSID, _int(0), sizes, steps, pickle.NEWFALSE, pickle.EMPTY_DICT)
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + pickle.REDUCE


def torch_pickle(shapes: Shapes) -> bytes:
    """``data.pkl`` of a state dictionary of half-precision tensors under ``state_dict``, beside an epoch number."""
    tensors = b"".join(_text(name) + _tensor(str(index), shape) for index, (name, shape) in enumerate(shapes.items()))
    state = pickle.EMPTY_DICT + pickle.MARK + tensors + pickle.SETITEMS
    members = _text("epoch") + _int(7) + _text("state_dict") + state
    return pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK + members + pickle.SETITEMS + pickle.STOP


def write_torch_zip(path: Path, shapes: Shapes, pickled: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", torch_pickle(shapes) if pickled is None else pickled)
        for index, shape in enumerate(shapes.values()):
            archive.writestr(f"archive/data/{index}", bytes(TensorType.F16.nbytes(shape)))
    return path
