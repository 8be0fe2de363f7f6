"""Bounded reader of safetensors headers (https://huggingface.co/docs/safetensors: u64 length, JSON object, data)."""

from __future__ import annotations

import struct
from io import BufferedReader

import msgspec

from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import (
    DIMENSION_LIMIT,
    METADATA_STRING_LIMIT,
    TENSOR_LIMIT,
    Header,
    HeaderError,
    TensorInfo,
    Window,
)

_LENGTH = struct.Struct("<Q")
_HEADER_LIMIT = 32 * 1024 * 1024  # real ones stay under 2 MiB, with training metadata
_COLON_LIMIT = 2_000_000  # bounds the number of JSON members before anything is built from them
_METADATA = "__metadata__"

#: The format's element types, which have their names here. Types that only newer writers know are kept as text, and
#: reported by validation.
_DTYPES = {kind.name: kind for kind in TensorType if not kind.is_quantized}


class _Entry(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class _Lenient(msgspec.Struct):
    """An entry whose members may all be absent, so that the metadata pass for one."""

    dtype: str = ""
    shape: list[int] | None = None
    data_offsets: tuple[int, int] | None = None


class _Rest(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name=_METADATA)


_entries = msgspec.json.Decoder(dict[str, _Lenient])
_rest = msgspec.json.Decoder(_Rest)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entry = msgspec.json.Decoder(_Entry)


def looks_like_safetensors(start: bytes, file_size: int) -> bool:
    """Whether a file that begins with ``start`` (at least nine bytes) can be a safetensors file."""
    if len(start) < _LENGTH.size + 1 or start[8:9] not in {b"{", b" "}:
        return False
    return 2 <= int(_LENGTH.unpack_from(start)[0]) <= max(file_size, 2**40)


def read_safetensors(file: BufferedReader, file_size: int) -> Header:
    """The header of an open safetensors file. Raises :class:`HeaderError` with the reason when it is not one."""
    window = Window(file, file_size, _HEADER_LIMIT + _LENGTH.size)
    window.need(_LENGTH.size)
    length = int(_LENGTH.unpack_from(window.data)[0])
    data_offset = _LENGTH.size + length
    if data_offset > file_size:
        raise HeaderError(f"the header claims {length} bytes, the file has {file_size}")
    window.need(data_offset)
    raw = bytes(window.data[_LENGTH.size : data_offset])
    if raw.count(b":") > _COLON_LIMIT:
        raise HeaderError("the header has too many entries")
    tensors = _all_at_once(raw, data_offset)
    if tensors is not None:
        return Header(
            ModelFormat.SAFETENSORS, file_size, tensors, _read_metadata(_rest.decode(raw).metadata), data_offset
        )
    try:
        members = _members.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HeaderError(f"the header is not a JSON object: {error}") from error
    metadata = _read_metadata(members.pop(_METADATA, None))
    _check_count(len(members))
    decoded = ((name, _decode(name, entry)) for name, entry in members.items())
    tensors = tuple(_tensor(name, e.dtype, e.shape, e.data_offsets, data_offset) for name, e in decoded)
    return Header(ModelFormat.SAFETENSORS, file_size, tensors, metadata, data_offset)


def _all_at_once(raw: bytes, data_offset: int) -> tuple[TensorInfo, ...] | None:
    """All tensors of a header without faults; None for another one, which is then read entry by entry to name the fault."""
    try:
        entries = _entries.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    entries.pop(_METADATA, None)
    _check_count(len(entries))
    tensors = []
    for name, entry in entries.items():
        if entry.shape is None or entry.data_offsets is None or not entry.dtype:
            return None
        tensors.append(_tensor(name, entry.dtype, entry.shape, entry.data_offsets, data_offset))
    return tuple(tensors)


def _check_count(count: int) -> None:
    if count > TENSOR_LIMIT:
        raise HeaderError(f"lists {count} tensors; at most {TENSOR_LIMIT} are accepted")


def _read_metadata(raw: msgspec.Raw | None) -> dict[str, object]:
    if raw is None:
        return {}
    try:
        found = msgspec.json.decode(raw, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HeaderError(f"__metadata__ is not a JSON object: {error}") from error
    return {
        key: value[:METADATA_STRING_LIMIT] if isinstance(value, str) else str(value)[:METADATA_STRING_LIMIT]
        for key, value in found.items()
    }


def _decode(name: str, raw: msgspec.Raw) -> _Entry:
    try:
        return _entry.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HeaderError(f"the entry of tensor {name[:200]!r} is malformed: {error}") from error


def _tensor(name: str, dtype: str, sizes: list[int], offsets: tuple[int, int], data_offset: int) -> TensorInfo:
    if len(sizes) > DIMENSION_LIMIT or (sizes and min(sizes) < 0):
        raise HeaderError(f"tensor {name[:200]!r} has the impossible shape {sizes[:16]}")
    begin, end = offsets
    if begin < 0 or end < begin:
        raise HeaderError(f"tensor {name[:200]!r} has the impossible offsets [{begin}, {end}]")
    return TensorInfo(name, tuple(sizes), _DTYPES.get(dtype), data_offset + begin, end - begin, dtype[:32])
