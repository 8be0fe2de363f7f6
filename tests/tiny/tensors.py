"""What tensors a model has, and the numbers that go into them.

A layout module lists its tensors as :class:`Tensor` values; :func:`fill` turns one into an array. Each array depends
only on the seed and on the tensor's own name, so a file is the same bytes whatever the order of the list, the machine
or the run.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Fill(StrEnum):
    """Which numbers a tensor gets."""

    WEIGHT = "weight"
    """Normal with standard deviation gain / sqrt(fan-in): a layer keeps the size of its input."""
    NORMAL = "normal"
    """Normal with standard deviation gain: embedding tables, position tables."""
    CONSTANT = "constant"
    """Gain everywhere: normalisation weights (1), biases (0)."""
    IDENTITY = "identity"
    """A convolution that passes channel i on as channel i, as far as there are both."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a model: its full name, its shape in PyTorch order (outermost first) and how it is filled."""

    name: str
    shape: tuple[int, ...]
    fill: Fill = Fill.WEIGHT
    gain: float = 1.0

    @property
    def elements(self) -> int:
        """The number of values in it."""
        return math.prod(self.shape)


def fill(tensor: Tensor, seed: int) -> Array:
    """Give the numbers of ``tensor`` as float32 in its shape."""
    if tensor.fill is Fill.CONSTANT:
        return np.full(tensor.shape, tensor.gain, np.float32)
    if tensor.fill is Fill.IDENTITY:
        values = np.zeros(tensor.shape, np.float32)
        outputs, inputs, height, width = tensor.shape
        both = np.arange(min(outputs, inputs))
        values[both, both, height // 2, width // 2] = tensor.gain
        return values
    deviation = tensor.gain
    if tensor.fill is Fill.WEIGHT:
        deviation /= math.sqrt(math.prod(tensor.shape[1:]))
    generator = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    return generator.standard_normal(tensor.shape, np.float32) * np.float32(deviation)


def constant(name: str, shape: tuple[int, ...], value: float) -> Tensor:
    """A tensor of one value."""
    return Tensor(name, shape, Fill.CONSTANT, value)


def linear(name: str, inputs: int, outputs: int, *, bias: bool = True, gain: float = 1.0) -> Iterator[Tensor]:
    """Weight [outputs, inputs] and, unless told otherwise, bias [outputs] (zero) of a linear layer."""
    yield Tensor(f"{name}.weight", (outputs, inputs), gain=gain)
    if bias:
        yield constant(f"{name}.bias", (outputs,), 0)


def conv(
    name: str, inputs: int, outputs: int, size: int = 3, *, bias: bool = True, gain: float = 1.0
) -> Iterator[Tensor]:
    """Weight [outputs, inputs, size, size] and bias [outputs] (zero) of a two-dimensional convolution."""
    yield Tensor(f"{name}.weight", (outputs, inputs, size, size), gain=gain)
    if bias:
        yield constant(f"{name}.bias", (outputs,), 0)


def norm(name: str, width: int, *, bias: bool = True) -> Iterator[Tensor]:
    """Weight [width] (one) and, unless told otherwise, bias [width] (zero) of a normalisation."""
    yield constant(f"{name}.weight", (width,), 1)
    if bias:
        yield constant(f"{name}.bias", (width,), 0)


def prefixed(prefix: str, tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    """The same tensors with ``prefix`` before each name."""
    for tensor in tensors:
        yield replace(tensor, name=prefix + tensor.name)
