"""Bounded readers of ``torch.save`` files: the zip archive since PyTorch 1.6, and the older row of pickles."""

from __future__ import annotations

import struct
import zipfile
import zlib
from io import BufferedReader, BytesIO
from math import prod
from typing import IO, cast

from sdrest.core.model import ModelFormat
from sdrest.registry.readers.header import HEADER_LIMIT_BYTES, TENSOR_LIMIT, Header, HeaderError, TensorInfo
from sdrest.registry.readers.pickles import Disassembly, PickledTensor, disassemble

ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_LIMIT = 32 * 1024 * 1024
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LEGACY_STORAGE_HEADER = 8


class _Bounded:
    """A file of which only so many bytes may be read."""

    def __init__(self, file: BufferedReader, budget: int = HEADER_LIMIT_BYTES) -> None:
        self._file = file
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if 0 <= size <= self._budget else self._budget + 1)
        return self._spend(data)

    def readline(self, size: int = -1) -> bytes:
        data = self._file.readline(size if 0 <= size <= self._budget else self._budget + 1)
        return self._spend(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def _spend(self, data: bytes) -> bytes:
        self._budget -= len(data)
        if self._budget < 0:
            raise HeaderError(f"the header is larger than {HEADER_LIMIT_BYTES // 2**20} MiB")
        return data


def read_torch_zip(file: BufferedReader, file_size: int) -> Header:
    """The header of an open zip archive written by ``torch.save``.

    Offsets are those of the stored bytes in the file; a compressed member has no such place, which the tensor's
    ``offset`` of -1 says. Raises :class:`HeaderError`.
    """
    bounded = _Bounded(file)
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", bounded))
        members = archive.infolist()
        if len(members) > TENSOR_LIMIT:
            raise HeaderError(f"the archive has {len(members)} members; at most {TENSOR_LIMIT} are accepted")
        pickle_member = next((m for m in members if m.filename.rpartition("/")[2] == "data.pkl"), None)
        if pickle_member is None:
            raise HeaderError("a zip archive without data.pkl: not a torch file")
        if pickle_member.file_size > _PICKLE_LIMIT:
            raise HeaderError(f"data.pkl claims {pickle_member.file_size} bytes")
        with archive.open(pickle_member) as stream:
            pickled = stream.read(_PICKLE_LIMIT + 1)
        if len(pickled) > _PICKLE_LIMIT:
            raise HeaderError("data.pkl is larger than any state dictionary")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error) as error:
        raise HeaderError(f"not a readable zip archive: {error}") from error
    found = disassemble(BytesIO(pickled))
    root = pickle_member.filename.removesuffix("data.pkl")
    by_name = {member.filename: member for member in members}
    starts: dict[str, int] = {}
    tensors = []
    for name, tensor in found.tensors:
        key = f"{root}data/{tensor.storage.key}"
        if key not in starts:
            starts[key] = _data_start(bounded, by_name.get(key), tensor)
        tensors.append(_info(name, tensor, starts[key]))
    return Header(ModelFormat.TORCH_ZIP, file_size, tuple(tensors), {}, 0, tuple(found.globals))


def _data_start(file: _Bounded, member: zipfile.ZipInfo | None, tensor: PickledTensor) -> int:
    """Where a stored member's bytes begin in the file (zip local file header: signature, 22 bytes, name and extra
    lengths).
    """
    if member is None:
        raise HeaderError(f"the archive lacks the storage {tensor.storage.key!r}")
    if member.compress_type != zipfile.ZIP_STORED:
        return -1
    file.seek(member.header_offset)
    raw = file.read(_LOCAL_HEADER.size)
    if len(raw) < _LOCAL_HEADER.size:
        raise HeaderError("the file ends inside a zip header")
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(raw)
    if signature != ZIP_MAGIC:
        raise HeaderError(f"the storage {tensor.storage.key!r} has no zip header where the directory says")
    return int(member.header_offset + _LOCAL_HEADER.size + name_length + extra_length)


def _info(name: str, tensor: PickledTensor, storage_start: int) -> TensorInfo:
    kind = tensor.storage.type
    size = kind.nbytes((1,)) if kind is not None else 0
    offset = storage_start + tensor.offset * size if storage_start >= 0 else -1
    nbytes = prod(tensor.shape) * size
    return TensorInfo(name, tensor.shape, kind, offset, nbytes, tensor.storage.raw_type[:64], tensor.contiguous)


def read_torch_legacy(file: BufferedReader, file_size: int) -> Header:
    """The header of an open file that old ``torch.save`` wrote: magic, protocol, system, state and storage-key pickles,
    then data.

    A single pickle of a state dictionary is accepted too (the library tries the same). Raises :class:`HeaderError`.
    """
    stream = cast("IO[bytes]", _Bounded(file))
    first = disassemble(stream)
    if first.root == _LEGACY_MAGIC:
        protocol, _system = disassemble(stream).root, disassemble(stream)
        if protocol != _LEGACY_PROTOCOL:
            raise HeaderError(f"torch file of the unknown protocol {protocol!r}"[:200])
        found = disassemble(stream)
    else:
        found = first
    if not found.tensors:
        raise HeaderError("a pickle without tensors: not a state dictionary")
    disassemble(stream)
    starts = _legacy_starts(found, file.tell())
    tensors = tuple(_info(name, tensor, starts[tensor.storage.key]) for name, tensor in found.tensors)
    return Header(ModelFormat.TORCH_LEGACY, file_size, tensors, {}, 0, tuple(found.globals))


def _legacy_starts(found: Disassembly, data_offset: int) -> dict[str, int]:
    """Storages follow one another in the order of their keys, each behind an eight-byte count."""
    storages = {tensor.storage.key: tensor.storage for _, tensor in found.tensors}
    starts, at = {}, data_offset
    for key in sorted(storages):
        storage = storages[key]
        starts[key] = at + _LEGACY_STORAGE_HEADER
        size = storage.type.nbytes((1,)) if storage.type is not None else 1
        at = starts[key] + storage.elements * size
    return starts
