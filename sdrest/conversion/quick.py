"""The project's own quantisers (``native/q4_k.cpp``): ggml's results in vector code, several times quicker."""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = {"darwin": "libsdrest_quantize.dylib"}.get(sys.platform, "libsdrest_quantize.so")

#: Quantises (address of floats, address of the result, number of blocks of 256 values).
Quantizer = Callable[[int, int, int], None]


def library_candidates() -> list[Path]:
    """Where the library is looked for: beside this module, in the installed package, in the source tree's ``build``."""
    package = Path(__file__).resolve().parent
    source_tree = package.parents[1]
    return [
        package / _FILE,
        Path(sysconfig.get_path("platlib")) / "sdrest" / "conversion" / _FILE,
        source_tree / "build" / _FILE,
        *sorted(source_tree.glob(f"build/*/{_FILE}")),
    ]


@cache
def quick_q4_k() -> Quantizer | None:
    """The quantiser of q4_k without search; None where the library was not built: ggml's own does then."""
    path = next((path for path in library_candidates() if path.is_file()), None)
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
