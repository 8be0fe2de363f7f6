"""How much of a torch file is read, and how much a pickle may be, whatever it claims."""

from __future__ import annotations

import io
import pickle

import pytest

from sdrest.core.model import ModelFormat
from sdrest.registry.readers import pickles
from sdrest.registry.readers.header import Header, HeaderError
from sdrest.registry.readers.pickle_safety import check_pickle
from sdrest.registry.readers.pickles import disassemble
from sdrest.registry.readers.torch_zip import _Bounded
from tests.model_files import torch_pickle

NAMES = {f"layer.{number}.weight": (2, 2) for number in range(3)}


def bounded(content: bytes, budget: int) -> _Bounded:
    return _Bounded(io.BufferedReader(io.BytesIO(content)), budget)


@pytest.mark.parametrize("sizes", [(6, 4), (10,), (0, 10), (4, 0, 6)])
def test_as_much_as_may_be_is_read_and_no_more(sizes: tuple[int, ...]) -> None:
    file = bounded(b"0123456789abcdef", 10)
    assert b"".join(file.read(size) for size in sizes) == b"0123456789"
    with pytest.raises(HeaderError, match="the header is larger than 64 MiB"):
        file.read(1)


@pytest.mark.parametrize("size", [-1, 11, 1 << 40])
def test_no_more_is_taken_into_memory_than_one_byte_beyond(size: int) -> None:
    source = io.BytesIO(b"0123456789abcdef" * 10000)
    file = _Bounded(source, 10)  # type: ignore[arg-type]
    with pytest.raises(HeaderError):
        file.read(size)
    assert source.tell() == 11


def test_lines_count_as_well() -> None:
    file = bounded(b"ab\ncd\n" + b"e" * 100, 10)
    assert [file.readline(), file.readline(2)] == [b"ab\n", b"cd"]
    with pytest.raises(HeaderError):
        bounded(b"e" * 100, 10).readline()
    source = io.BytesIO(b"e" * 100000)
    with pytest.raises(HeaderError):
        _Bounded(source, 10).readline(1 << 40)  # type: ignore[arg-type]
    assert source.tell() == 11


def test_a_pickle_has_so_many_operations_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "_OPCODE_LIMIT", 3)
    assert disassemble(io.BytesIO(pickle.dumps(None, 2))).root is None  # PROTO NONE STOP
    with pytest.raises(HeaderError, match="the pickle is longer than any state dictionary"):
        disassemble(io.BytesIO(pickle.dumps([[], []], 2)))


def test_a_pickle_has_so_many_tensors_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "TENSOR_LIMIT", len(NAMES))
    assert [name for name, _ in disassemble(io.BytesIO(torch_pickle(NAMES))).tensors] == [*NAMES]
    monkeypatch.setattr(pickles, "TENSOR_LIMIT", len(NAMES) - 1)
    with pytest.raises(HeaderError, match="holds more than 2 tensors"):
        disassemble(io.BytesIO(torch_pickle(NAMES)))


@pytest.mark.parametrize(("levels", "is_found"), [(2, True), (1, False)])
def test_tensors_are_looked_for_so_deep_and_no_deeper(
    levels: int, is_found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickles, "_NESTING_LIMIT", levels)
    inner = torch_pickle(NAMES)[2:-1]  # without PROTO and STOP: tensors lie one level down
    nested = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.BINUNICODE + b"\x01\x00\x00\x00x" + inner
    found = disassemble(io.BytesIO(nested + pickle.SETITEM + pickle.STOP))
    assert bool(found.tensors) is is_found


@pytest.mark.parametrize("name", ["float16", "bfloat16", "int8", "uint8", "bool", "float8_e4m3fn"])
def test_element_types_are_what_weights_need(name: str) -> None:
    header = Header(ModelFormat.TORCH_ZIP, 0, (), {}, 0, (f"torch.{name}",))
    assert [*check_pickle(header)] == []


@pytest.mark.parametrize("name", ["torch.load", "torch.Tensor.__reduce__"])
def test_other_names_of_torch_are_told(name: str) -> None:
    header = Header(ModelFormat.TORCH_ZIP, 0, (), {}, 0, (name,))
    assert [problem.code for problem in check_pickle(header)] in (["unusual_pickle"], ["hostile_pickle"])
