"""What a model file says about itself, read without its weights.

Every reader produces the same :class:`Header` and obeys the same bounds: at most :data:`HEADER_LIMIT_BYTES` are read,
at most :data:`TENSOR_LIMIT` tensors accepted, and no length field of the file decides how much memory is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from math import prod
from pathlib import Path

import msgspec

from sdrest.core.errors import ModelUnusable
from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import TensorType

#: Most bytes of one file that a reader looks at. The largest real headers are tokenizer vocabularies in GGUF (about 16
#: MiB).
HEADER_LIMIT_BYTES = 64 * 1024 * 1024
#: Most tensors of one file; the largest real models have under 5,000.
TENSOR_LIMIT = 100_000
#: Longest metadata string kept in full; longer ones are cut.
METADATA_STRING_LIMIT = 1024 * 1024
#: Elements of a metadata array that are kept.
METADATA_ARRAY_LIMIT = 64
#: Dimensions of one tensor; ggml takes four, safetensors files of video models have five.
DIMENSION_LIMIT = 8


class HeaderError(ModelUnusable):
    """The file's header cannot be read."""

    slug = "bad_header"


class TensorInfo(msgspec.Struct, frozen=True, gc=False):
    """One tensor: ``shape`` outermost dimension first (torch order; the reverse of ggml's ``ne``), ``offset`` from the
    start of the file in bytes, ``nbytes`` as the file claims. ``type`` is None for an element type that the library
    does not know; ``raw_type`` is the file's own word for it. A struct, because files hold thousands: it is made several times
    quicker than a frozen dataclass.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType | None
    offset: int
    nbytes: int
    raw_type: str = ""
    contiguous: bool = True

    @property
    def elements(self) -> int:
        """Number of values."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """All that a header tells.

    ``data_offset`` is where tensor data begins (0 where the format has no such place), ``pickle_globals`` the
    ``module.name`` references of a torch pickle in order of appearance.
    """

    format: ModelFormat
    file_size: int
    tensors: tuple[TensorInfo, ...]
    metadata: Mapping[str, object] = field(default_factory=dict)
    data_offset: int = 0
    pickle_globals: tuple[str, ...] = ()


class Window:
    """The beginning of a file, read as far as asked and never beyond ``limit`` bytes.

    ``data`` grows; readers keep their own position. :meth:`need` raises :class:`HeaderError` where the file or the
    limit ends, so a length field larger than either costs nothing.
    """

    __slots__ = ("_chunk", "_file", "_limit", "data", "file_size")

    def __init__(self, file: BufferedReader, file_size: int, limit: int = HEADER_LIMIT_BYTES) -> None:
        self._file = file
        self._limit = limit
        self._chunk = 64 * 1024
        self.file_size = file_size
        self.data = bytearray()

    def need(self, end: int) -> None:
        """Make ``data[:end]`` available."""
        if end <= len(self.data):
            return
        if end > self.file_size:
            raise HeaderError(f"the file ends inside its header: byte {end} of {self.file_size} is needed")
        if end > self._limit:
            raise HeaderError(f"the header is larger than {self._limit // 2**20} MiB")
        wanted = min(max(end, len(self.data) + self._chunk), self.file_size, self._limit)
        self._chunk = min(self._chunk * 2, 4 * 1024 * 1024)
        self.data += self._file.read(wanted - len(self.data))
        if end > len(self.data):
            raise HeaderError("the file became shorter while it was read")


def open_sized(path: Path) -> tuple[BufferedReader, int]:
    """The file opened for reading, and its size in bytes. Raises :class:`HeaderError` when it is no readable regular
    file.
    """
    try:
        if not path.is_file():
            raise HeaderError(f"{path.name}: not a regular file")
        file = path.open("rb")
    except OSError as error:
        raise HeaderError(f"{path.name}: cannot be opened ({error.strerror})") from error
    return file, path.stat().st_size
