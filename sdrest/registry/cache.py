"""What earlier scans and hashings found, kept in one file so that a start reads no header twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from sdrest.core.model import Model, ModelType
from sdrest.registry.scan import Scanned

#: Raised whenever identification or the record changes: older caches are then dropped.
CACHE_VERSION = 4


class _Entry(msgspec.Struct):
    signature: tuple[int, ...]
    model: Model


class _Cache(msgspec.Struct):
    version: int
    entries: list[_Entry]


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _decode(kind: type, value: Any) -> Any:
    if kind is Path or issubclass(kind, Path):
        return Path(value)
    if kind is ModelType:
        return ModelType(value)
    raise NotImplementedError(kind)


_encoder = msgspec.json.Encoder(enc_hook=_encode)
_decoder = msgspec.json.Decoder(_Cache, dec_hook=_decode)


def load_entries(path: Path) -> dict[Path, Scanned]:
    """The entries of an earlier scan; none when the file is missing, damaged or of another version."""
    try:
        cache = _decoder.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, ValueError):
        return {}
    if cache.version != CACHE_VERSION:
        return {}
    return {entry.model.path: Scanned(entry.model, entry.signature) for entry in cache.entries}


def save_entries(path: Path, entries: Mapping[Path, Scanned]) -> None:
    """Write the entries, replacing the file in one step."""
    content = _encoder.encode(_Cache(CACHE_VERSION, [_Entry(e.signature, e.model) for e in entries.values()]))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
