"""The few functions of ggml that conversion needs, out of the native library that is installed anyway.

Only pure functions on memory are called. They end the process on input that they do not expect, so everything they
would assert is checked here first.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdrest.conversion.quick import quick_q4_k
from sdrest.core.errors import Unavailable
from sdrest.core.tensor_types import LAYOUTS, WRITABLE, TensorType

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_PACKAGE = "stable_diffusion_cpp"
_NAMES = {"darwin": "libstable-diffusion.dylib", "win32": "stable-diffusion.dll"}
#: Types whose quantiser asserts that it gets importances (``ggml_quantize_requires_imatrix``).
_NEEDS_IMPORTANCE = frozenset({TensorType.IQ2_XXS, TensorType.IQ2_XS, TensorType.IQ1_S})
_ToFloat = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class _Traits(ctypes.Structure):
    """``struct ggml_type_traits`` (ggml.h)."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", _ToFloat),
        ("from_float_ref", ctypes.c_void_p),
    )


class _CpuTraits(ctypes.Structure):
    """The beginning of ``struct ggml_type_traits_cpu`` (ggml-cpu.h)."""

    _fields_ = (("from_float", _ToFloat),)


def library_path() -> Path:
    """The installed native library, found without importing its Python package.

    ``STABLE_DIFFUSION_CPP_LIB`` overrides it, as it does for the package. Raises :class:`Unavailable`.
    """
    override = os.environ.get("STABLE_DIFFUSION_CPP_LIB")
    if override:
        return Path(override)
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "lib" / _NAMES.get(sys.platform, "libstable-diffusion.so")
        if path.is_file():
            return path
    raise Unavailable(f"the native library is not installed: no {_PACKAGE} package with a library was found")


class Ggml:
    """Quantisers and their inverses. All methods release the interpreter lock and may run on several threads."""

    def __init__(self, path: Path | None = None) -> None:
        library = ctypes.CDLL(str(path or library_path()))
        self._quantize = _function(
            library,
            "ggml_quantize_chunk",
            ctypes.c_size_t,
            (ctypes.c_int, *(ctypes.c_void_p,) * 2, *(ctypes.c_int64,) * 3, ctypes.c_void_p),
        )
        row = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        # The processor backend's versions use vector instructions; the results are the same.
        _function(library, "ggml_cpu_init", None, ())()
        self._f16_to_f32 = _function(library, "ggml_cpu_fp16_to_fp32", None, row)
        self._f32_to_f16 = _function(library, "ggml_cpu_fp32_to_fp16", None, row)
        self._bf16_to_f32 = _function(library, "ggml_bf16_to_fp32_row", None, row)
        cpu_traits = _function(library, "ggml_get_type_traits_cpu", ctypes.POINTER(_CpuTraits), (ctypes.c_int,))
        self._quick_q8_0 = cpu_traits(LAYOUTS[TensorType.Q8_0].ggml_id).contents.from_float
        self._traits_of = _function(library, "ggml_get_type_traits", ctypes.POINTER(_Traits), (ctypes.c_int,))
        self._traits = {kind: self._load_traits(kind) for kind in WRITABLE}

    def quantize(self, values: Floats, kind: TensorType, *, search: bool) -> Bytes:
        """``values`` (rows × row length, finite) stored as ``kind``; raw bytes.

        ``search`` spends more time on finding the scales of least squared error, as the library's own converter does
        (it passes importances of one); without it the scales follow from each block's extremes, as in llama.cpp, and
        q8_0 is computed with vector instructions, which round one value in about ten thousand to the other neighbour; q4_k
        also, with ggml's own results (blocks in which every weight becomes 0 may hold other bits for that 0).
        """
        rows, length = values.shape
        layout = LAYOUTS[kind]
        if kind not in WRITABLE or length % layout.block or not values.flags.c_contiguous:
            raise ValueError(f"rows of {length} values cannot be stored as {kind}")
        out = np.empty(rows * length // layout.block * layout.block_bytes, dtype=np.uint8)
        if kind is TensorType.F16 or (kind is TensorType.Q8_0 and not search):
            store = self._f32_to_f16 if kind is TensorType.F16 else self._quick_q8_0
            store(values.ctypes.data, out.ctypes.data, values.size)
            return out
        quick = quick_q4_k() if kind is TensorType.Q4_K and not search else None
        if quick is not None:
            quick(values.ctypes.data, out.ctypes.data, values.size // layout.block)
            return out
        with_importance = search or kind in _NEEDS_IMPORTANCE
        importance = np.ones(length, dtype=np.float32) if with_importance else None
        pointer = importance.ctypes.data if importance is not None else None
        written = self._quantize(layout.ggml_id, values.ctypes.data, out.ctypes.data, 0, rows, length, pointer)
        if written != out.nbytes:
            raise ValueError(f"{written} bytes were written as {kind} instead of {out.nbytes}")
        return out

    def to_floats(self, raw: Bytes, kind: TensorType, out: Floats) -> None:
        """Fill ``out`` (contiguous) from ``raw`` bytes of ``kind``, which must be exactly as many as it takes."""
        layout = LAYOUTS[kind]
        if raw.nbytes * layout.block != out.size * layout.block_bytes or not out.flags.c_contiguous:
            raise ValueError(f"{raw.nbytes} bytes are not {out.size} values of {kind}")
        match kind:
            case TensorType.F32:
                out.reshape(-1)[:] = raw.view(np.float32)
            case TensorType.F64:
                out.reshape(-1)[:] = raw.view(np.float64)
            case TensorType.F16:
                self._f16_to_f32(raw.ctypes.data, out.ctypes.data, out.size)
            case TensorType.BF16:
                self._bf16_to_f32(raw.ctypes.data, out.ctypes.data, out.size)
            case TensorType.F8_E4M3 | TensorType.F8_E5M2:
                np.take(_f8_table(kind), raw, out=out.reshape(-1))
            case TensorType.I8 | TensorType.I16 | TensorType.I32 | TensorType.I64 | TensorType.U8 | TensorType.BOOL:
                out.reshape(-1)[:] = raw.view(_INTEGERS[kind])
            case _:
                self._traits[kind].to_float(raw.ctypes.data, out.ctypes.data, out.size)

    def _load_traits(self, kind: TensorType) -> _Traits:
        traits: _Traits = self._traits_of(LAYOUTS[kind].ggml_id).contents
        if (traits.blck_size, traits.type_size) != (LAYOUTS[kind].block, LAYOUTS[kind].block_bytes):
            raise Unavailable(f"the native library stores {kind} otherwise than this version of sdrest expects")
        return traits


@cache
def ggml() -> Ggml:
    """The one :class:`Ggml` of this process."""
    return Ggml()


_INTEGERS: dict[TensorType, type[np.generic]] = {
    TensorType.I8: np.int8,
    TensorType.I16: np.int16,
    TensorType.I32: np.int32,
    TensorType.I64: np.int64,
    TensorType.U8: np.uint8,
    TensorType.BOOL: np.uint8,
}


def _function(library: ctypes.CDLL, name: str, result: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    try:
        function = getattr(library, name)
    except AttributeError as error:
        raise Unavailable(f"the native library does not export {name}") from error
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


@cache
def _f8_table(kind: TensorType) -> Floats:
    """All 256 values of an eight-bit float, as the library reads them (``f8_e4m3_to_f16``, ``f8_e5m2_to_f16``)."""
    codes = np.arange(256, dtype=np.uint16)
    if kind is TensorType.F8_E5M2:
        return (codes << 8).view(np.float16).astype(np.float32)
    exponent, mantissa = (codes >> 3) & 0xF, codes & 7
    sign = np.where(codes & 0x80, -1.0, 1.0)
    normal = np.ldexp(1 + mantissa / 8, exponent.astype(np.int32) - 7)
    values = sign * np.where(exponent == 0, np.ldexp(mantissa / 8, -6), normal)
    values[[0x7F, 0xFF]] = np.nan
    return values.astype(np.float32)
