"""The project's own quantisers (``native/q4_k.cpp``): ggml's results in vector code, several times quicker."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Final

from sdrest.core.installed import built_file_candidates

_FILE: Final = {"darwin": "libsdrest_quantize.dylib"}.get(sys.platform, "libsdrest_quantize.so")

#: Quantises (address of floats, address of the result, number of blocks of 256 values).
Quantizer = Callable[[int, int, int], None]


@cache
def quick_q4_k() -> Quantizer | None:
    """The quantiser of q4_k without search; None where the library was not built: ggml's own does then."""
    path = next((path for path in built_file_candidates("conversion", _FILE) if path.is_file()), None)
    if path is None:
        return None
    try:
        function = ctypes.CDLL(str(path)).sdrest_quantize_q4_k
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    function.restype = None

    def quantize(values: int, out: int, blocks: int) -> None:
        function(values, out, blocks)

    return quantize
