"""Quantising rows of numbers with ggml's own code, bit for bit what the library's ``convert`` writes."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdrest.engine.child.binding.foreign import Foreign
from sdrest.engine.child.binding.names import Names, number_of

#: Types whose code in ggml ends the process when it is asked to quantise.
_NOT_WRITABLE = frozenset({"q8_1", "q8_K", "i8", "i16", "i32", "i64", "f64"})


class Quantizer:
    """``ggml_quantize_chunk`` for one type. Safe on several threads at once; the GIL is released.

    Raises ValueError for a type that is unknown, cannot be written, or needs an importance matrix.
    """

    def __init__(self, foreign: Foreign, names: Names, type_name: str) -> None:
        number = number_of(names.types, type_name, "type")
        self._lib: Any = foreign.lib
        self._number = number
        if type_name in _NOT_WRITABLE:
            raise ValueError(f"type {type_name} cannot be written by ggml")
        if self._lib.ggml_quantize_requires_imatrix(number):
            raise ValueError(f"type {type_name} needs an importance matrix")
        self.type = type_name
        #: A row must be a multiple of this many values.
        self.block_size: int = self._lib.ggml_blck_size(number)
        self._lib.ggml_quantize_init(number)

    def row_bytes(self, values: int) -> int:
        """Size in bytes of a row of ``values`` values."""
        return int(self._lib.ggml_row_size(self._number, values))

    def quantize(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """``rows`` (row, value) as bytes of shape (row, row_bytes). Raises ValueError when the shape does not fit the
        type.
        """
        if rows.ndim != 2 or rows.dtype != np.float32 or rows.shape[1] % self.block_size:
            raise ValueError(
                f"{self.type} needs float32 rows whose length is a multiple of {self.block_size}, "
                f"not {rows.dtype} of shape {rows.shape}"
            )
        source = np.ascontiguousarray(rows)
        count, values = source.shape
        target = np.empty((count, self.row_bytes(values)), np.uint8)
        if target.size:
            pointer = ctypes.c_void_p
            self._lib.ggml_quantize_chunk(
                self._number, pointer(source.ctypes.data), pointer(target.ctypes.data), 0, count, values, None
            )
        return target
