"""Textual-inversion embeddings in the one element type that the library reads rightly.

``load_embedding`` (``conditioner.hpp``) puts a file's bytes behind its float32 token table whatever their type: of halves it
makes NaN. Such files are written again in F32, once, below the data folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import save

from sdrest.core.errors import InvalidInput
from sdrest.core.files import atomic_file
from sdrest.core.model import Model
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import TensorInfo
from sdrest.registry.registry import Registry

_Array = np.ndarray[Any, np.dtype[np.float32]]
#: How the bytes of each type become float32; little-endian, as in all these formats.
_READERS: Final[Mapping[TensorType, Callable[[bytes], _Array]]] = {
    TensorType.F32: lambda data: np.frombuffer(data, "<f4"),
    TensorType.F16: lambda data: np.frombuffer(data, "<f2").astype("<f4"),
    TensorType.F64: lambda data: np.frombuffer(data, "<f8").astype("<f4"),
    TensorType.BF16: lambda data: (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4"),
}


class Embeddings:
    """Finds for each embedding a file in F32; ``folder`` keeps those that had to be made."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self._registry = registry
        self._folder = folder

    def file(self, embedding: Model) -> Path:
        """The embedding's own file when it is in F32, else one made from it.

        Raises:
            InvalidInput: it holds types that cannot be turned into F32.
            HeaderError, OSError: it has gone.
        """
        if set(embedding.types) <= {TensorType.F32}:
            return embedding.path
        header = self._registry.header(embedding)
        for tensor in header.tensors:
            if tensor.type not in _READERS or tensor.offset < 0 or not tensor.contiguous:
                kind = tensor.raw_type or str(tensor.type)
                raise InvalidInput(f"{embedding.file_name} is in {kind}, which cannot be turned into F32")
        state = f"{embedding.path}\0{embedding.size}\0{embedding.mtime_ns}"
        made = self._folder / f"{hashlib.sha256(state.encode()).hexdigest()[:32]}.safetensors"
        if not made.exists():
            with embedding.path.open("rb") as source:
                data = save({tensor.name: _read(source.fileno(), tensor) for tensor in header.tensors})
            with atomic_file(made) as file:
                file.write(data)
        return made


def _read(descriptor: int, tensor: TensorInfo) -> _Array:
    assert tensor.type is not None
    return _READERS[tensor.type](os.pread(descriptor, tensor.nbytes, tensor.offset)).reshape(tensor.shape)
