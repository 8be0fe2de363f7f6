"""What a header alone proves wrong: tensors outside the file, overlaps, sizes that do not add up, things that the
library cannot read.

These checks need no second look at the file, so every scan makes them; :mod:`sdrest.registry.validate` adds the rest.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from math import prod
from operator import attrgetter

from sdrest.core.model import ModelFormat, Problem
from sdrest.core.tensor_types import LAYOUTS, TensorType
from sdrest.registry.readers.header import Header, TensorInfo

#: ``GGML_MAX_NAME`` of the library's build, with its closing zero.
NAME_LIMIT = 127
_DIMENSIONS = {ModelFormat.GGUF: 4}
_MOST_DIMENSIONS = 5
#: Formats whose tensors lie in several files.
_PARTED = frozenset({ModelFormat.DIFFUSERS})
_ALL_TYPES = frozenset(TensorType)
_TORCH_TYPES = frozenset(
    {TensorType.F64, TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.I64, TensorType.I32}
)
#: Element types that the library can read, by format.
_READABLE = {
    ModelFormat.SAFETENSORS: _TORCH_TYPES | {TensorType.F8_E4M3, TensorType.F8_E5M2, TensorType.U8},
    ModelFormat.TORCH_ZIP: _TORCH_TYPES,
    ModelFormat.TORCH_LEGACY: _TORCH_TYPES,
}
_LISTED = 3


def check_layout(header: Header) -> tuple[Problem, ...]:
    """Everything wrong with the header's tensors, worst first."""
    if not header.tensors:
        return (Problem("no_tensors", "the file holds no tensors"),)
    found = [*_each_tensor(header), *_duplicates(header), *_overlaps(header)]
    return tuple(sorted(found, key=lambda problem: not problem.fatal))


class _Faults:
    """Tensors by what is wrong with them, gathered in one pass."""

    def __init__(self, header: Header) -> None:
        self.outside: list[TensorInfo] = []
        self.unknown: list[TensorInfo] = []
        self.wrong: list[TensorInfo] = []
        self.ragged: list[TensorInfo] = []
        self.empty: list[TensorInfo] = []
        self.deep: list[TensorInfo] = []
        self.scattered: list[TensorInfo] = []
        self.packed: list[TensorInfo] = []
        allowed = _READABLE.get(header.format, _ALL_TYPES)
        limit = sys.maxsize if header.format in _PARTED else header.file_size
        dimensions = _DIMENSIONS.get(header.format, _MOST_DIMENSIONS)
        for tensor in header.tensors:
            self._judge(tensor, allowed, limit, dimensions)

    def _judge(self, tensor: TensorInfo, allowed: frozenset[TensorType], limit: int, dimensions: int) -> None:
        kind, shape = tensor.type, tensor.shape
        if tensor.offset + tensor.nbytes > limit:
            self.outside.append(tensor)
        if kind is None or kind not in allowed:
            self.unknown.append(tensor)
        else:
            layout, elements = LAYOUTS[kind], prod(shape)
            if tensor.nbytes != elements // layout.block * layout.block_bytes:
                self.wrong.append(tensor)
            if layout.block > 1 and shape and shape[-1] % layout.block:
                self.ragged.append(tensor)
            if not elements:
                self.empty.append(tensor)
        if len(shape) > dimensions:
            self.deep.append(tensor)
        if not tensor.contiguous:
            self.scattered.append(tensor)
        if tensor.offset < 0:
            self.packed.append(tensor)


def _each_tensor(header: Header) -> Iterator[Problem]:
    faults = _Faults(header)
    if faults.outside:
        missing = max(t.offset + t.nbytes for t in faults.outside) - header.file_size
        count = f"{len(faults.outside)} of {len(header.tensors)} tensors"
        yield Problem(
            "truncated",
            f"the file ends {missing} bytes before its last tensor: {count} lie beyond the end ({_some(faults.outside)})",
        )
    if faults.unknown:
        kinds = ", ".join(sorted({t.raw_type or str(t.type) for t in faults.unknown}))
        yield Problem("unreadable_type", f"the library cannot read tensors of type {kinds} ({_some(faults.unknown)})")
    for code, found, words in (
        ("wrong_size", faults.wrong, "tensors take other numbers of bytes than their shapes say"),
        ("ragged_rows", faults.ragged, "quantized tensors have rows that are no whole blocks"),
        ("empty_tensor", faults.empty, "tensors have a dimension of zero"),
        ("dimensions", faults.deep, "tensors have more dimensions than ggml takes"),
        ("not_contiguous", faults.scattered, "tensors are views that the library cannot read"),
    ):
        if found:
            yield Problem(code, f"{len(found)} {words} ({_some(found)})")
    if faults.packed:
        yield Problem("compressed", f"{len(faults.packed)} tensors are stored compressed", fatal=False)
    if header.format is ModelFormat.GGUF:
        long = [t for t in header.tensors if len(t.name) > NAME_LIMIT // 4 and len(t.name.encode()) > NAME_LIMIT]
        if long:
            yield Problem("long_name", f"{len(long)} tensor names are longer than {NAME_LIMIT} bytes ({_some(long)})")


def _duplicates(header: Header) -> Iterator[Problem]:
    if len({t.name for t in header.tensors}) == len(header.tensors):
        return
    twice = [name for name, count in Counter(t.name for t in header.tensors).items() if count > 1]
    if twice:
        yield Problem("duplicate_names", f"{len(twice)} tensor names occur twice ({', '.join(twice[:_LISTED])})")


def _overlaps(header: Header) -> Iterator[Problem]:
    """Tensors that share bytes. Torch files do so rightly (tied weights); elsewhere it is a damaged or hostile file.

    The library reads such files, so this alone does not make a model unusable.
    """
    if header.format not in {ModelFormat.GGUF, ModelFormat.SAFETENSORS}:
        return
    ordered = sorted((t for t in header.tensors if t.nbytes), key=attrgetter("offset"))
    end, overlapping = header.data_offset, []
    for tensor in ordered:
        if tensor.offset < end:
            overlapping.append(tensor)
        end = max(end, tensor.offset + tensor.nbytes)
    if overlapping:
        yield Problem("overlap", f"{len(overlapping)} tensors overlap others ({_some(overlapping)})", fatal=False)


def _some(tensors: list[TensorInfo]) -> str:
    names = ", ".join(tensor.name[:100] for tensor in tensors[:_LISTED])
    return names + (", …" if len(tensors) > _LISTED else "")
