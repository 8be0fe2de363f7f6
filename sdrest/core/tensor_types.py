"""The element types that model files store, with the block sizes that give every tensor its length in bytes.

Numbers and block sizes are those of ``enum ggml_type`` (ggml.h) and of the safetensors format. ``blck_size`` elements
take ``type_size`` bytes; a quantized row must be a whole number of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod


class TensorType(StrEnum):
    """An element type, named as the contract names quantization types (lower case)."""

    F64 = "f64"
    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    F8_E4M3 = "f8_e4m3"
    F8_E5M2 = "f8_e5m2"
    I64 = "i64"
    I32 = "i32"
    I16 = "i16"
    I8 = "i8"
    U8 = "u8"
    BOOL = "bool"
    Q8_0 = "q8_0"
    Q8_1 = "q8_1"
    Q8_K = "q8_k"
    Q6_K = "q6_k"
    Q5_K = "q5_k"
    Q5_1 = "q5_1"
    Q5_0 = "q5_0"
    Q4_K = "q4_k"
    Q4_1 = "q4_1"
    Q4_0 = "q4_0"
    Q3_K = "q3_k"
    Q2_K = "q2_k"
    IQ4_XS = "iq4_xs"
    IQ4_NL = "iq4_nl"
    IQ3_S = "iq3_s"
    IQ3_XXS = "iq3_xxs"
    IQ2_S = "iq2_s"
    IQ2_XS = "iq2_xs"
    IQ2_XXS = "iq2_xxs"
    IQ1_M = "iq1_m"
    IQ1_S = "iq1_s"
    TQ2_0 = "tq2_0"
    TQ1_0 = "tq1_0"
    MXFP4 = "mxfp4"
    NVFP4 = "nvfp4"

    @property
    def layout(self) -> TypeLayout:
        """How this type is stored."""
        return LAYOUTS[self]

    @property
    def is_quantized(self) -> bool:
        """Whether values share a scale within blocks."""
        return LAYOUTS[self].block > 1

    @property
    def bits_per_weight(self) -> float:
        """Average storage of one value in bits, scales included."""
        layout = LAYOUTS[self]
        return layout.block_bytes * 8 / layout.block

    def nbytes(self, shape: tuple[int, ...]) -> int:
        """Length in bytes of a tensor of ``shape`` (whole blocks; a partial last block is rounded down as ggml
        does).
        """
        layout = LAYOUTS[self]
        return prod(shape) // layout.block * layout.block_bytes


@dataclass(frozen=True, slots=True)
class TypeLayout:
    """Storage of one element type: ``block`` values in ``block_bytes`` bytes; ``ggml_id`` is None where GGUF has no
    such type.
    """

    block: int
    block_bytes: int
    ggml_id: int | None
    ggml_name: str | None = None


LAYOUTS: dict[TensorType, TypeLayout] = {
    TensorType.F64: TypeLayout(1, 8, 28, "f64"),
    TensorType.F32: TypeLayout(1, 4, 0, "f32"),
    TensorType.F16: TypeLayout(1, 2, 1, "f16"),
    TensorType.BF16: TypeLayout(1, 2, 30, "bf16"),
    TensorType.F8_E4M3: TypeLayout(1, 1, None),
    TensorType.F8_E5M2: TypeLayout(1, 1, None),
    TensorType.I64: TypeLayout(1, 8, 27, "i64"),
    TensorType.I32: TypeLayout(1, 4, 26, "i32"),
    TensorType.I16: TypeLayout(1, 2, 25, "i16"),
    TensorType.I8: TypeLayout(1, 1, 24, "i8"),
    TensorType.U8: TypeLayout(1, 1, None),
    TensorType.BOOL: TypeLayout(1, 1, None),
    TensorType.Q8_0: TypeLayout(32, 34, 8, "q8_0"),
    TensorType.Q8_1: TypeLayout(32, 36, 9, "q8_1"),
    TensorType.Q8_K: TypeLayout(256, 292, 15, "q8_K"),
    TensorType.Q6_K: TypeLayout(256, 210, 14, "q6_K"),
    TensorType.Q5_K: TypeLayout(256, 176, 13, "q5_K"),
    TensorType.Q5_1: TypeLayout(32, 24, 7, "q5_1"),
    TensorType.Q5_0: TypeLayout(32, 22, 6, "q5_0"),
    TensorType.Q4_K: TypeLayout(256, 144, 12, "q4_K"),
    TensorType.Q4_1: TypeLayout(32, 20, 3, "q4_1"),
    TensorType.Q4_0: TypeLayout(32, 18, 2, "q4_0"),
    TensorType.Q3_K: TypeLayout(256, 110, 11, "q3_K"),
    TensorType.Q2_K: TypeLayout(256, 84, 10, "q2_K"),
    TensorType.IQ4_XS: TypeLayout(256, 136, 23, "iq4_xs"),
    TensorType.IQ4_NL: TypeLayout(32, 18, 20, "iq4_nl"),
    TensorType.IQ3_S: TypeLayout(256, 110, 21, "iq3_s"),
    TensorType.IQ3_XXS: TypeLayout(256, 98, 18, "iq3_xxs"),
    TensorType.IQ2_S: TypeLayout(256, 82, 22, "iq2_s"),
    TensorType.IQ2_XS: TypeLayout(256, 74, 17, "iq2_xs"),
    TensorType.IQ2_XXS: TypeLayout(256, 66, 16, "iq2_xxs"),
    TensorType.IQ1_M: TypeLayout(256, 56, 29, "iq1_m"),
    TensorType.IQ1_S: TypeLayout(256, 50, 19, "iq1_s"),
    TensorType.TQ2_0: TypeLayout(256, 66, 35, "tq2_0"),
    TensorType.TQ1_0: TypeLayout(256, 54, 34, "tq1_0"),
    TensorType.MXFP4: TypeLayout(32, 17, 39, "mxfp4"),
    TensorType.NVFP4: TypeLayout(64, 36, 40, "nvfp4"),
}

BY_GGML_ID: dict[int, TensorType] = {
    layout.ggml_id: kind for kind, layout in LAYOUTS.items() if layout.ggml_id is not None
}

#: Types the library's ``ggml_quantize_chunk`` can write; the others abort the process.
WRITABLE: tuple[TensorType, ...] = (
    TensorType.F32,
    TensorType.F16,
    TensorType.BF16,
    TensorType.Q8_0,
    TensorType.Q6_K,
    TensorType.Q5_K,
    TensorType.Q5_1,
    TensorType.Q5_0,
    TensorType.Q4_K,
    TensorType.Q4_1,
    TensorType.Q4_0,
    TensorType.Q3_K,
    TensorType.Q2_K,
    TensorType.IQ4_XS,
    TensorType.IQ4_NL,
    TensorType.IQ3_S,
    TensorType.IQ3_XXS,
    TensorType.IQ2_S,
    TensorType.IQ2_XS,
    TensorType.IQ2_XXS,
    TensorType.IQ1_M,
    TensorType.IQ1_S,
    TensorType.TQ2_0,
    TensorType.TQ1_0,
    TensorType.MXFP4,
    TensorType.NVFP4,
)

#: Names in use elsewhere that mean one of ours: llama.cpp mixes (``_S``/``_M``/``_L``) are written as their plain type.
ALIASES: dict[str, TensorType] = {
    "fp32": TensorType.F32,
    "float32": TensorType.F32,
    "fp16": TensorType.F16,
    "float16": TensorType.F16,
    "half": TensorType.F16,
    "bfloat16": TensorType.BF16,
    "q2_k_s": TensorType.Q2_K,
    "q3_k_s": TensorType.Q3_K,
    "q3_k_m": TensorType.Q3_K,
    "q3_k_l": TensorType.Q3_K,
    "q4_k_s": TensorType.Q4_K,
    "q4_k_m": TensorType.Q4_K,
    "q5_k_s": TensorType.Q5_K,
    "q5_k_m": TensorType.Q5_K,
}


@dataclass(frozen=True, slots=True)
class TypeName:
    """A parsed type name; ``note`` says in words when the name was an alias."""

    type: TensorType
    note: str | None = None


def parse_writable_type(name: str) -> TypeName | None:
    """The writable type that ``name`` means (case ignored), or None."""
    key = name.strip().lower()
    alias = ALIASES.get(key)
    if alias is not None:
        return TypeName(alias, f"{name} is written as {alias.value}: the library has no such mix of types")
    try:
        found = TensorType(key)
    except ValueError:
        return None
    return TypeName(found) if found in WRITABLE else None
