"""What a header alone proves wrong: tensors outside the file, overlaps, sizes that do not add up, things that the
library cannot read.

These checks need no second look at the file, so every scan makes them; :mod:`sdrest.registry.validate` adds the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from operator import attrgetter

from sdrest.core.model import ModelFormat, Problem
from sdrest.core.tensor_types import TensorType
from sdrest.registry.header import Header, TensorInfo

#: ``GGML_MAX_NAME`` of the library's build, with its closing zero.
NAME_LIMIT = 127
_DIMENSIONS = {ModelFormat.GGUF: 4}
_LIBRARY_TYPES = {
    ModelFormat.SAFETENSORS: frozenset(
        {
            TensorType.F64,
            TensorType.F32,
            TensorType.F16,
            TensorType.BF16,
            TensorType.F8_E4M3,
            TensorType.F8_E5M2,
            TensorType.I64,
            TensorType.I32,
            TensorType.U8,
        }
    ),
}
_TORCH_TYPES = frozenset(
    {TensorType.F64, TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.I64, TensorType.I32}
)
_LISTED = 3


def check_layout(header: Header) -> tuple[Problem, ...]:
    """Everything wrong with the header's tensors, worst first."""
    if not header.tensors:
        return (Problem("no_tensors", "the file holds no tensors"),)
    found = [*_each_tensor(header), *_duplicates(header), *_overlaps(header)]
    return tuple(sorted(found, key=lambda problem: not problem.fatal))


def _each_tensor(header: Header) -> Iterator[Problem]:
    outside = [t for t in header.tensors if t.offset + t.nbytes > header.file_size and header.format not in _PARTED]
    if outside:
        missing = max(t.offset + t.nbytes for t in outside) - header.file_size
        yield Problem(
            "truncated",
            f"the file ends {missing} bytes before its last tensor: {len(outside)} of {len(header.tensors)} tensors "
            f"lie beyond the end ({_some(outside)})",
        )
    unknown = [t for t in header.tensors if not _readable(header.format, t)]
    if unknown:
        kinds = ", ".join(sorted({t.raw_type or str(t.type) for t in unknown}))
        yield Problem("unreadable_type", f"the library cannot read tensors of type {kinds} ({_some(unknown)})")
    wrong = [t for t in header.tensors if t.type is not None and t.nbytes != t.type.nbytes(t.shape)]
    if wrong:
        yield Problem("wrong_size", f"the bytes of {len(wrong)} tensors do not match their shapes ({_some(wrong)})")
    ragged = [t for t in header.tensors if t.type is not None and t.shape and t.shape[-1] % t.type.layout.block]
    if ragged:
        yield Problem("ragged_rows", f"rows of {len(ragged)} quantized tensors are no whole blocks ({_some(ragged)})")
    empty = [t for t in header.tensors if 0 in t.shape]
    if empty:
        yield Problem("empty_tensor", f"{len(empty)} tensors have a dimension of zero ({_some(empty)})")
    deep = [t for t in header.tensors if len(t.shape) > _DIMENSIONS.get(header.format, 5)]
    if deep:
        yield Problem("dimensions", f"{len(deep)} tensors have more dimensions than ggml takes ({_some(deep)})")
    scattered = [t for t in header.tensors if not t.contiguous]
    if scattered:
        yield Problem("not_contiguous", f"{len(scattered)} tensors are views that the library cannot read")
    packed = [t for t in header.tensors if t.offset < 0]
    if packed:
        yield Problem("compressed", f"{len(packed)} tensors are stored compressed", fatal=False)
    long = [t for t in header.tensors if len(t.name.encode("utf-8", "replace")) > NAME_LIMIT]
    if long and header.format is ModelFormat.GGUF:
        yield Problem("long_name", f"{len(long)} tensor names are longer than {NAME_LIMIT} bytes ({_some(long)})")


_PARTED = frozenset({ModelFormat.DIFFUSERS})


def _readable(container: ModelFormat, tensor: TensorInfo) -> bool:
    if tensor.type is None:
        return False
    if container in {ModelFormat.TORCH_ZIP, ModelFormat.TORCH_LEGACY}:
        return tensor.type in _TORCH_TYPES
    allowed = _LIBRARY_TYPES.get(container)
    return allowed is None or tensor.type in allowed


def _duplicates(header: Header) -> Iterator[Problem]:
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
