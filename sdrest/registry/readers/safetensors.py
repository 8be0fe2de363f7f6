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
    try:
        members = _members.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HeaderError(f"the header is not a JSON object: {error}") from error
    metadata = _read_metadata(members.pop(_METADATA, None))
    if len(members) > TENSOR_LIMIT:
        raise HeaderError(f"lists {len(members)} tensors; at most {TENSOR_LIMIT} are accepted")
    tensors = tuple(_tensor(name, entry, data_offset) for name, entry in members.items())
    return Header(ModelFormat.SAFETENSORS, file_size, tensors, metadata, data_offset)


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


def _tensor(name: str, raw: msgspec.Raw, data_offset: int) -> TensorInfo:
    try:
        entry = _entry.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HeaderError(f"the entry of tensor {name[:200]!r} is malformed: {error}") from error
    if len(entry.shape) > DIMENSION_LIMIT or (entry.shape and min(entry.shape) < 0):
        raise HeaderError(f"tensor {name[:200]!r} has the impossible shape {entry.shape[:16]}")
    begin, end = entry.data_offsets
    if begin < 0 or end < begin:
        raise HeaderError(f"tensor {name[:200]!r} has the impossible offsets [{begin}, {end}]")
    kind = _DTYPES.get(entry.dtype)
    return TensorInfo(name, tuple(entry.shape), kind, data_offset + begin, end - begin, entry.dtype[:32])
