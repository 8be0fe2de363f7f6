"""How much two model files differ, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdrest.conversion.ggml import Floats, ggml
from sdrest.conversion.plan import Plan
from sdrest.conversion.run import PIECE_VALUES
from sdrest.conversion.sources import Sources, readable_header
from sdrest.conversion.verify import ConversionFailed
from sdrest.core.errors import Cancelled
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import Header, TensorInfo
from sdrest.registry.recognition.naming import convert_names
from sdrest.registry.recognition.versions import Names, library_version


@dataclass(frozen=True, slots=True)
class TensorError:
    """The difference of one tensor: greatest and root-mean-square error, and the signal-to-noise ratio in decibels.

    ``snr_db`` is infinite for equal values; errors are in the tensor's own unit. ``rms`` is that of the first file's
    values.
    """

    name: str
    shape: tuple[int, ...]
    first_type: TensorType
    second_type: TensorType
    max: float
    rmse: float
    rms: float

    @property
    def snr_db(self) -> float:
        """20·log10(rms / rmse)."""
        if self.rmse == 0:
            return math.inf
        if not self.rms or not math.isfinite(self.rmse) or not math.isfinite(self.rms):
            return -math.inf
        return 20 * math.log10(self.rms / self.rmse)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two files compared; names that only one of them has, or that have two shapes, are not compared."""

    errors: tuple[TensorError, ...]
    only_first: tuple[str, ...] = ()
    only_second: tuple[str, ...] = ()
    other_shape: tuple[str, ...] = ()

    @property
    def worst(self) -> TensorError | None:
        """The tensor with the lowest signal-to-noise ratio."""
        return min(self.errors, key=lambda error: error.snr_db, default=None)


@dataclass(frozen=True, slots=True)
class Pair:
    """One tensor in two files."""

    name: str
    first: tuple[Path, TensorInfo]
    second: tuple[Path, TensorInfo]


def compare_files(
    first: Path,
    second: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Comparison:
    """Compare all tensors that both files have, under the library's names where the files' own names differ.

    ``progress`` gets values compared and all values. Raises :class:`ModelUnusable` when a file cannot be read.
    """
    one, other = readable_header(first), readable_header(second)
    by_name, by_other = _by_name(one), _by_name(other)
    if not by_name.keys() & by_other.keys():
        by_name, by_other = _by_library_name(one), _by_library_name(other)
    common = [name for name in by_name if name in by_other]
    pairs = [
        Pair(name, (first, by_name[name]), (second, by_other[name]))
        for name in common
        if by_name[name].elements == by_other[name].elements
    ]
    errors = tuple(compare_pairs(pairs, progress, cancelled))
    compared = {pair.name for pair in pairs}
    return Comparison(
        errors,
        tuple(name for name in by_name if name not in by_other),
        tuple(name for name in by_other if name not in by_name),
        tuple(name for name in common if name not in compared),
    )


def compare_with_plan(
    plan: Plan,
    result: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Comparison:
    """Compare a converted file with what it was made from."""
    written = _by_name(readable_header(result))
    pairs = [Pair(t.name, (t.file, t.source), (result, written[t.name])) for t in plan.tensors]
    return Comparison(tuple(compare_pairs(pairs, progress, cancelled)))


def check_values(comparison: Comparison) -> None:
    """Refuse a result whose values have nothing to do with the source's: noise as strong as the signal.

    Raises :class:`ConversionFailed` naming the worst tensor. How much error a type makes on good weights is no matter
    here; the lowest is about 4 dB, of the types below two bits.
    """
    worst = comparison.worst
    if worst is not None and (worst.rms > 0) and not worst.snr_db > 0:
        raise ConversionFailed(
            f"{worst.name} was stored as {worst.second_type.value} with an error as great as its values "
            f"({worst.snr_db:.1f} dB)",
            tensor=worst.name,
        )


def compare_pairs(
    pairs: Iterable[Pair], progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> Iterator[TensorError]:
    """Compare tensors one after the other, in pieces of bounded size."""
    pairs = tuple(pairs)
    total, done = sum(pair.first[1].elements for pair in pairs), 0
    with Sources() as sources:
        for pair in pairs:
            yield _compare(sources, pair, cancelled)
            done += pair.first[1].elements
            progress(done, total)


def _compare(sources: Sources, pair: Pair, cancelled: Callable[[], bool]) -> TensorError:
    (_, one), (_, other) = pair.first, pair.second
    assert one.type is not None
    assert other.type is not None
    step = math.lcm(one.type.layout.block, other.type.layout.block)
    step *= max(1, PIECE_VALUES // step)
    greatest, squares, signal = 0.0, 0.0, 0.0
    for start in range(0, one.elements, step):
        if cancelled():
            raise Cancelled("the comparison was stopped")
        count = min(step, one.elements - start)
        values = _floats(sources, *pair.first, start, count)
        # A damaged file may hold anything; what overflows or is no number counts as an error without bound.
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.subtract(values, _floats(sources, *pair.second, start, count), dtype=np.float64)
            greatest = max(greatest, float(np.nan_to_num(np.abs(error), nan=np.inf).max(initial=0.0)))
            squares += float(np.dot(error, error))
            signal += float(np.dot(values, values))
    count = max(1, one.elements)
    rmse = math.sqrt(squares / count) if math.isfinite(squares) else math.inf
    rms = math.sqrt(signal / count) if math.isfinite(signal) else math.inf
    return TensorError(pair.name, one.shape, one.type, other.type, greatest, rmse, rms)


def _floats(sources: Sources, path: Path, tensor: TensorInfo, start: int, count: int) -> Floats:
    kind = tensor.type
    assert kind is not None
    raw = sources.read(path, tensor.offset + kind.nbytes((start,)), kind.nbytes((count,)))
    values = np.empty(count, dtype=np.float32)
    ggml().to_floats(raw, kind, values)
    return values


def _by_name(header: Header) -> dict[str, TensorInfo]:
    return {tensor.name: tensor for tensor in header.tensors}


def _by_library_name(header: Header) -> dict[str, TensorInfo]:
    names = convert_names((tensor.name for tensor in header.tensors), library_version(Names(header.tensors)))
    return dict(zip(names, header.tensors, strict=True))
