"""Writing the result: headers first, then tensor data in order."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path
from typing import Protocol

import gguf
import numpy as np

from sdrest.conversion.ggml import Bytes
from sdrest.conversion.plan import Plan, PlannedTensor
from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.gguf import KeyValue, read_key_values

#: Keys that describe the file rather than the model: written anew.
_OWN_KEYS = frozenset(
    {"general.architecture", "general.file_type", "general.quantization_version", "general.alignment"}
)
_STRING = int(gguf.GGUFValueType.STRING)


class Output(Protocol):
    """A model file being written."""

    def write(self, data: Bytes) -> None:
        """Append tensor data."""

    def end_tensor(self, tensor: PlannedTensor) -> None:
        """Finish the tensor whose data were written last."""

    def flush(self) -> None:
        """Hand everything to the operating system and wait until it is on the disk."""

    def close(self) -> None:
        """Close the file; safe to call twice."""


def open_output(plan: Plan, path: Path) -> Output:
    """Create ``path`` with everything but the tensor data."""
    if plan.format is ModelFormat.GGUF:
        return _GgufOutput(plan, path)
    return _SafetensorsOutput(plan, path)


class _GgufOutput:
    """A GGUF file, by the ``gguf`` package's writer."""

    def __init__(self, plan: Plan, path: Path) -> None:
        self._writer = gguf.GGUFWriter(path, _architecture_name(plan))
        for key, value, kind, item_kind in _metadata(plan):
            self._writer.add_key_value(key, value, kind, item_kind)
        for tensor in plan.tensors:
            ggml_id = tensor.type.layout.ggml_id
            assert ggml_id is not None
            # The element type in numpy's words only matters for shapes given in bytes, which these are not.
            self._writer.add_tensor_info(
                tensor.name, tensor.shape, np.dtype(np.float32), tensor.nbytes, gguf.GGMLQuantizationType(ggml_id)
            )
        self._writer.write_header_to_file()
        self._writer.write_kv_data_to_file()
        self._writer.write_ti_data_to_file()
        assert self._writer.fout is not None
        self._file = self._writer.fout[0]
        self._writer.write_padding(self._file, self._file.tell())

    def write(self, data: Bytes) -> None:
        self._file.write(data.data)

    def end_tensor(self, tensor: PlannedTensor) -> None:
        self._writer.write_padding(self._file, tensor.nbytes)

    def flush(self) -> None:
        _sync(self._file)

    def close(self) -> None:
        self._writer.close()


class _SafetensorsOutput:
    """A safetensors file, written as the tensors come: the ``safetensors`` package wants all of them in memory."""

    def __init__(self, plan: Plan, path: Path) -> None:
        header: dict[str, object] = {"__metadata__": dict(plan.metadata)} if plan.metadata else {}
        offset = 0
        for tensor in plan.tensors:
            end = offset + tensor.nbytes
            header[tensor.name] = {
                "dtype": tensor.type.name,
                "shape": list(tensor.shape),
                "data_offsets": [offset, end],
            }
            offset = end
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._file = path.open("wb")
        self._file.write(struct.pack("<Q", len(text)) + text)

    def write(self, data: Bytes) -> None:
        self._file.write(data.data)

    def end_tensor(self, tensor: PlannedTensor) -> None:
        """Nothing stands between tensors here."""

    def flush(self) -> None:
        _sync(self._file)

    def close(self) -> None:
        self._file.close()


def _sync(file: BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())


_MetadataEntry = tuple[str, object, gguf.GGUFValueType, gguf.GGUFValueType | None]


def _metadata(plan: Plan) -> Iterator[_MetadataEntry]:
    """The source's metadata, and what the GGUF specification wants said about the file."""
    if plan.gguf_source is not None:
        for entry in read_key_values(plan.gguf_source):
            if entry.key not in _OWN_KEYS and entry.value != ():
                yield _copied(entry)
    else:
        for key, value in plan.metadata.items():
            if key and key not in _OWN_KEYS:
                yield key, value, gguf.GGUFValueType.STRING, None
    file_type = _file_type(plan)
    if file_type is not None:
        yield "general.file_type", file_type, gguf.GGUFValueType.UINT32, None
    if any(tensor.type.is_quantized for tensor in plan.tensors):
        yield "general.quantization_version", gguf.GGML_QUANT_VERSION, gguf.GGUFValueType.UINT32, None


def _copied(entry: KeyValue) -> _MetadataEntry:
    item_kind = None if entry.item_kind is None else gguf.GGUFValueType(entry.item_kind)
    return entry.key, entry.value, gguf.GGUFValueType(entry.kind), item_kind


def _architecture_name(plan: Plan) -> str:
    """``general.architecture``: kept from a GGUF source, else the family (the words other tools use for these
    models).
    """
    if plan.gguf_source is not None:
        for entry in read_key_values(plan.gguf_source):
            if entry.key == "general.architecture" and entry.kind == _STRING and isinstance(entry.value, bytes):
                return entry.value.decode("utf-8", "replace")
    if plan.identity.architecture is not None:
        return plan.identity.architecture.family.value
    return plan.identity.type.slug if plan.identity.type is not None else "unknown"


def _file_type(plan: Plan) -> int | None:
    """The GGUF number of the type that most weights have, if it has one."""
    weights: dict[TensorType, int] = {}
    for tensor in plan.tensors:
        weights[tensor.type] = weights.get(tensor.type, 0) + tensor.nbytes
    most = max(weights, key=lambda kind: weights[kind]).name
    names = (f"MOSTLY_{most}", f"ALL_{most}", f"MOSTLY_{most}_S")
    return next((int(gguf.LlamaFileType[name]) for name in names if name in gguf.LlamaFileType.__members__), None)
