"""What is said of a conversion, by who carries it out to who asked for it: neither needs the other's imports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a conversion is: bytes read of all, tensors finished of all, and the tensor at hand."""

    done_bytes: int
    total_bytes: int
    done_tensors: int
    total_tensors: int
    tensor: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A finished conversion; sizes in bytes."""

    path: Path
    nbytes: int
    source_bytes: int
    tensors: int
    seconds: float
