"""Bounded reader of GGUF headers (GGUF specification, versions 2 and 3)."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import BY_GGML_ID
from sdrest.registry.readers.header import (
    DIMENSION_LIMIT,
    METADATA_ARRAY_LIMIT,
    METADATA_STRING_LIMIT,
    TENSOR_LIMIT,
    Header,
    HeaderError,
    TensorInfo,
    Window,
    open_sized,
)

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
_KEY_LIMIT = 65_535  # the specification's bound on key lengths
_NAME_LIMIT = 4096  # ggml takes 127 bytes; longer names are reported by validation, not by the reader
_KEY_COUNT_LIMIT = 100_000
_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_SIZES = tuple(struct.Struct(f"<{count}Q") for count in range(DIMENSION_LIMIT + 1))
_TYPE_AND_OFFSET = struct.Struct("<IQ")
_Entry = tuple[str, tuple[int, ...], int, int]


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One metadata entry in full: value type, element type (arrays only), and the value; strings are bytes."""

    key: str
    kind: int
    item_kind: int | None
    value: object


class _Cursor:
    """A position in a :class:`Window`."""

    __slots__ = ("at", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.at = 0

    def unpack(self, kind: struct.Struct) -> int | float | bool:
        end = self.at + kind.size
        self.window.need(end)
        value: int | float | bool = kind.unpack_from(self.window.data, self.at)[0]
        self.at = end
        return value

    def u32(self) -> int:
        return int(self.unpack(_U32))

    def u64(self) -> int:
        return int(self.unpack(_U64))

    def text(self, limit: int, what: str) -> str:
        length = self.u64()
        if length > limit:
            raise HeaderError(f"{what} claims {length} bytes")
        start, self.at = self.at, self.at + length
        self.window.need(self.at)
        return self.window.data[start : self.at].decode("utf-8", "replace")

    def skip(self, length: int) -> None:
        self.window.need(self.at + length)
        self.at += length

    def value(self, kind: int, key: str) -> object:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(key)[1]
        scalar = _SCALARS.get(kind)
        if scalar is None:
            raise HeaderError(f"metadata key {key!r} has the unknown value type {kind}")
        return self.unpack(scalar)

    def _string(self) -> str:
        length = self.u64()
        start = self.at
        self.window.need(start + length)
        self.at = start + length
        return self.window.data[start : start + min(length, METADATA_STRING_LIMIT)].decode("utf-8", "replace")

    def _array(self, key: str, keep: int = METADATA_ARRAY_LIMIT) -> tuple[int, tuple[object, ...]]:
        kind, count = self.u32(), self.u64()
        if kind == _ARRAY:
            raise HeaderError(f"metadata key {key!r} holds an array of arrays")
        kept = min(count, keep)
        if kind == _STRING:
            if kept * _U64.size > self.window.file_size:
                raise HeaderError(f"a metadata array claims {count} strings")
            items: list[object] = [
                self._raw_string() if keep > METADATA_ARRAY_LIMIT else self._string() for _ in range(kept)
            ]
            self._skip_strings(count - kept)
            return kind, tuple(items)
        scalar = _SCALARS.get(kind)
        if scalar is None:
            raise HeaderError(f"metadata key {key!r} holds an array of the unknown value type {kind}")
        self.window.need(self.at + count * scalar.size)
        items = [self.unpack(scalar) for _ in range(kept)]
        self.skip((count - kept) * scalar.size)
        return kind, tuple(items)

    def whole_value(self, kind: int, key: str) -> KeyValue:
        if kind == _STRING:
            return KeyValue(key, kind, None, self._raw_string())
        if kind == _ARRAY:
            item_kind, items = self._array(key, keep=sys.maxsize)
            return KeyValue(key, kind, item_kind, items)
        return KeyValue(key, kind, None, self.value(kind, key))

    def _raw_string(self) -> bytes:
        length = self.u64()
        start, self.at = self.at, self.at + length
        self.window.need(self.at)
        return bytes(self.window.data[start : self.at])

    def _skip_strings(self, count: int) -> None:
        """Step over string elements; vocabularies have hundreds of thousands, so this is the reader's inner loop."""
        window, at, unpack_from = self.window, self.at, _U64.unpack_from
        if count * 8 > window.file_size:
            raise HeaderError(f"a metadata array claims {count} strings")
        data = window.data
        for _ in range(count):
            if at + 8 > len(data):
                window.need(at + 8)
            at += 8 + unpack_from(data, at)[0]
        window.need(at)
        self.at = at


def read_gguf(file: BufferedReader, file_size: int) -> Header:
    """The header of an open GGUF file. Raises :class:`HeaderError` with the reason when it is not one."""
    cursor = _Cursor(Window(file, file_size))
    tensor_count, key_count = _counts(cursor)
    metadata: dict[str, object] = {}
    for _ in range(key_count):
        key = cursor.text(_KEY_LIMIT, "a metadata key")
        metadata[key] = cursor.value(cursor.u32(), key)
    entries = _tensor_entries(cursor, tensor_count)
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise HeaderError(f"general.alignment is {alignment!r}, not a power of two")
    data_offset = -(-cursor.at // alignment) * alignment
    tensors = []
    for name, shape, ggml_id, offset in entries:
        kind = BY_GGML_ID.get(ggml_id)
        nbytes = kind.nbytes(shape) if kind is not None else 0
        tensors.append(TensorInfo(name, shape, kind, data_offset + offset, nbytes, f"ggml type {ggml_id}"))
    return Header(ModelFormat.GGUF, file_size, tuple(tensors), metadata, data_offset)


def read_key_values(path: Path) -> tuple[KeyValue, ...]:
    """All metadata of a GGUF file, nothing cut short. Raises :class:`HeaderError`."""
    file, size = open_sized(path)
    with file:
        cursor = _Cursor(Window(file, size))
        _, key_count = _counts(cursor)
        found = []
        for _ in range(key_count):
            key = cursor.text(_KEY_LIMIT, "a metadata key")
            found.append(cursor.whole_value(cursor.u32(), key))
    return tuple(found)


def _counts(cursor: _Cursor) -> tuple[int, int]:
    """Check the beginning; the numbers of tensors and of metadata keys."""
    cursor.skip(len(MAGIC))
    if cursor.window.data[: len(MAGIC)] != MAGIC:
        raise HeaderError("not a GGUF file")
    version = cursor.u32()
    if version not in {2, 3}:
        if version & 0xFFFF == 0:
            raise HeaderError("big-endian GGUF; only little-endian files can be loaded")
        raise HeaderError(f"GGUF version {version}; versions 2 and 3 can be loaded")
    tensor_count, key_count = cursor.u64(), cursor.u64()
    if tensor_count > TENSOR_LIMIT:
        raise HeaderError(f"claims {tensor_count} tensors; at most {TENSOR_LIMIT} are accepted")
    if key_count > _KEY_COUNT_LIMIT:
        raise HeaderError(f"claims {key_count} metadata keys; at most {_KEY_COUNT_LIMIT} are accepted")
    return tensor_count, key_count


def _tensor_entries(cursor: _Cursor, count: int) -> list[_Entry]:
    """Names, shapes, types and offsets of all tensors: with thousands of them, the reader's other inner loop."""
    data, window, at = cursor.window.data, cursor.window, cursor.at
    entries: list[_Entry] = []
    while len(entries) < count:
        try:
            length = _U64.unpack_from(data, at)[0]
            end = at + _U64.size + length
            if length > _NAME_LIMIT:
                raise HeaderError(f"a tensor name claims {length} bytes")
            dimensions = _U32.unpack_from(data, end)[0]
            if dimensions > DIMENSION_LIMIT:
                raise HeaderError(f"tensor {data[at + 8 : end][:200]!r} claims {dimensions} dimensions")
            sizes = _SIZES[dimensions].unpack_from(data, end + _U32.size)
            after = end + _U32.size + _U64.size * dimensions
            ggml_id, offset = _TYPE_AND_OFFSET.unpack_from(data, after)
        except struct.error:
            window.need(len(data) + 1)
            continue
        entries.append((data[at + _U64.size : end].decode("utf-8", "replace"), sizes[::-1], ggml_id, offset))
        at = after + _TYPE_AND_OFFSET.size
    cursor.at = at
    return entries
