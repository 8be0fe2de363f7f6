"""What is wrong with a file's tensors, told from its header: each fault alone, in words, with the names of the first three."""

from __future__ import annotations

from typing import Any

import pytest

from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import Header, TensorInfo
from sdrest.registry.readers.layout import check_layout

SAFETENSORS, GGUF, ZIP = ModelFormat.SAFETENSORS, ModelFormat.GGUF, ModelFormat.TORCH_ZIP


def tensor(name: str = "w", offset: int = 100, **what: Any) -> TensorInfo:
    """Four half-precision values, as they should be."""
    return TensorInfo(**{"name": name, "shape": (2, 2), "type": TensorType.F16, "offset": offset, "nbytes": 8, **what})


def faults(*tensors: TensorInfo, kind: ModelFormat = SAFETENSORS, size: int = 10_000) -> list[tuple[str, str, bool]]:
    found = check_layout(Header(kind, size, tensors, {}, 100))
    return [(problem.code, problem.message, problem.fatal) for problem in found]


def test_a_good_header_has_nothing() -> None:
    assert faults(tensor(), tensor("v", 108), size=116) == []
    assert faults(tensor("0", 0), kind=ZIP) == []


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ({"nbytes": 7}, "wrong_size", "1 tensors take other numbers of bytes than their shapes say (w)"),
        ({"shape": (0, 2), "nbytes": 0}, "empty_tensor", "1 tensors have a dimension of zero (w)"),
        ({"shape": (1, 1, 1, 1, 2, 2)}, "dimensions", "1 tensors have more dimensions than ggml takes (w)"),
        ({"contiguous": False}, "not_contiguous", "1 tensors are views that the library cannot read (w)"),
        ({"type": None, "raw_type": "F4"}, "unreadable_type", "the library cannot read tensors of type F4 (w)"),
        (
            {"type": TensorType.Q8_0, "shape": (1, 32), "nbytes": 34},
            "unreadable_type",
            "the library cannot read tensors of type q8_0 (w)",
        ),
    ],
)
def test_each_fault_is_named(what: dict[str, Any], code: str, message: str) -> None:
    assert faults(tensor(**what)) == [(code, message, True)]


def test_rows_of_quantized_tensors_are_whole_blocks() -> None:
    good = tensor(type=TensorType.Q8_0, shape=(3, 32), nbytes=3 * 34)
    ragged = tensor("r", type=TensorType.Q8_0, shape=(32, 3), nbytes=3 * 34, offset=1000)
    message = "1 quantized tensors have rows that are no whole blocks (r)"
    assert faults(good, ragged, kind=GGUF) == [("ragged_rows", message, True)]


def test_gguf_takes_four_dimensions_and_names_of_a_bounded_length() -> None:
    assert faults(tensor("x" * 127, shape=(1, 1, 2, 2)), kind=GGUF) == []
    assert [code for code, _, _ in faults(tensor(shape=(1, 1, 1, 2, 2)), kind=GGUF)] == ["dimensions"]
    assert faults(tensor(shape=(1, 1, 1, 2, 2))) == []
    long = faults(tensor("ü" * 64), kind=GGUF)
    assert long == [("long_name", f"1 tensor names are longer than 127 bytes ({'ü' * 64})", True)]
    assert faults(tensor("x" * 128)) == []


def test_a_file_that_ends_too_soon_says_how_much_is_missing() -> None:
    found = faults(tensor(), tensor("v", 108), tensor("u", 116), size=112)
    message = "the file ends 12 bytes before its last tensor: 2 of 3 tensors lie beyond the end (v, u)"
    assert found == [("truncated", message, True)]
    assert faults(tensor(offset=10**9), kind=ModelFormat.DIFFUSERS, size=10) == []


def test_names_occur_once() -> None:
    found = faults(tensor("a"), tensor("b", 108), tensor("a", 116), tensor("c", 124), tensor("c", 132))
    assert found == [("duplicate_names", "2 tensor names occur twice (a, c)", True)]


def test_overlaps_are_told_after_what_is_fatal_and_are_the_right_of_torch_files() -> None:
    shared = [tensor("a"), tensor("b", 104), tensor("c", 112, nbytes=6)]
    assert faults(*shared) == [
        ("wrong_size", "1 tensors take other numbers of bytes than their shapes say (c)", True),
        ("overlap", "1 tensors overlap others (b)", False),
    ]
    assert [code for code, _, _ in faults(*shared, kind=ZIP)] == ["wrong_size"]
    assert faults(tensor(offset=99)) == [("overlap", "1 tensors overlap others (w)", False)]
    inside = [tensor("a", shape=(8, 2), nbytes=32), tensor("b", 108), tensor("c", 118)]
    assert faults(*inside) == [("overlap", "2 tensors overlap others (b, c)", False)]


def test_compressed_members_can_be_read_by_unpacking() -> None:
    assert faults(tensor(offset=-1), kind=ZIP) == [("compressed", "1 tensors are stored compressed", False)]


@pytest.mark.parametrize(("number", "names"), [(3, "t0, t1, t2"), (4, "t0, t1, t2, …")])
def test_three_names_are_told(number: int, names: str) -> None:
    found = faults(*(tensor(f"t{i}", 100 + 8 * i, contiguous=False) for i in range(number)))
    assert found[0][1].endswith(f"({names})")
    (long,) = faults(tensor("n" * 200, contiguous=False))
    assert long[1].endswith(f"({'n' * 100})")


def test_no_tensors_are_a_fault() -> None:
    assert faults() == [("no_tensors", "the file holds no tensors", True)]
