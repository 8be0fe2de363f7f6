"""What is read of the files that ``torch.save`` writes, and of pickles that no ``torch.save`` wrote.

The pickles come from Python's own pickler over stand-ins for torch's classes, so that every protocol's opcodes are met.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import Header, HeaderError
from sdrest.registry.readers.pickles import COMPUTED, disassemble
from sdrest.registry.readers.reading import read_header


class Storage:
    """Stands for a storage: pickled as the reference that torch writes in its place."""

    def __init__(self, kind: str, key: str, elements: int) -> None:
        self.reference = ("storage", getattr(sys.modules["torch"], kind), key, "cpu", elements)


class Called:
    """Pickled as a call of ``name``, a function of the module ``module``."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self._call = getattr(sys.modules[module], name), arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return obj.reference if isinstance(obj, Storage) else None


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of torch's names, so that the pickler takes the stand-ins for torch's own."""
    for module, names in {
        "torch": ("HalfStorage", "FloatStorage", "BFloat16Storage", "StrangeStorage"),
        "torch._utils": ("_rebuild_tensor_v2", "_rebuild_tensor", "_rebuild_parameter", "_rebuild_qtensor"),
    }.items():
        made = ModuleType(module)
        for name in names:
            setattr(made, name, type(name, (), {"__module__": module}))
        monkeypatch.setitem(sys.modules, module, made)


def tensor(
    storage: Storage, shape: tuple[int, ...], *, offset: int = 0, stride: tuple[int, ...] | None = None
) -> Called:
    steps, elements = list[int](), 1
    for size in reversed(shape):
        steps.insert(0, elements)
        elements *= size
    stride = tuple(steps) if stride is None else stride
    return Called("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, stride, False, OrderedDict())


def pickled(value: object, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol).dump(value)
    return stream.getvalue()


def archived(path: Path, data: bytes, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("model/data.pkl", data)
        for key, content in storages.items():
            archive.writestr(f"model/data/{key}", content)
    return path


def described(header: Header) -> list[tuple[Any, ...]]:
    return [(t.name, t.shape, t.type, t.nbytes, t.contiguous) for t in header.tensors]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_are_found_whatever_the_protocol(protocol: int, tmp_path: Path) -> None:
    one, two = Storage("HalfStorage", "0", 12), Storage("FloatStorage", "1", 2)
    state = OrderedDict(a=tensor(one, (3, 4)), b=tensor(two, (2,)))
    # Again and again the same names, numbers and lists: the pickler refers back to them.
    value = {
        "state_dict": state,
        "epoch": 7,
        "losses": [0.5, 0.5, 10**30],
        "again": state,
        "names": ("a", "b", "a", "b"),
    }
    path = archived(tmp_path / "m.ckpt", pickled(value, protocol), {"0": bytes(range(24)), "1": bytes(8)})
    header = read_header(path)
    assert header.format is ModelFormat.TORCH_ZIP
    assert header.file_size == path.stat().st_size
    found = [("a", (3, 4), TensorType.F16, 24, True), ("b", (2,), TensorType.F32, 8, True)]
    assert described(header) == found + found
    assert set(header.pickle_globals) == {
        "torch.HalfStorage",
        "torch.FloatStorage",
        "torch._utils._rebuild_tensor_v2",
        "collections.OrderedDict",
    }
    # The offset leads to the bytes themselves.
    assert path.read_bytes()[header.tensors[0].offset :][:24] == bytes(range(24))


def test_tensors_that_share_a_storage_begin_where_they_say(tmp_path: Path) -> None:
    storage = Storage("HalfStorage", "w", 12)
    value = {"whole": tensor(storage, (12,)), "last": tensor(storage, (2, 2), offset=8)}
    header = read_header(archived(tmp_path / "m.pt", pickled(value), {"w": bytes(range(24))}))
    whole, last = header.tensors
    assert last.offset - whole.offset == 16
    assert (tmp_path / "m.pt").read_bytes()[last.offset :][: last.nbytes] == bytes(range(16, 24))


@pytest.mark.parametrize(
    ("shape", "stride", "contiguous"),
    [((2, 3), (3, 1), True), ((2, 3), (1, 2), False), ((2, 3), (4, 1), False), ((0, 3), (9, 9), True), ((), (), True)],
)
def test_transposed_and_cut_tensors_are_told(
    shape: tuple[int, ...], stride: tuple[int, ...], contiguous: bool, tmp_path: Path
) -> None:
    value = {"w": tensor(Storage("FloatStorage", "0", 16), shape, stride=stride)}
    (found,) = read_header(archived(tmp_path / "m.pt", pickled(value), {"0": bytes(64)})).tensors
    assert (found.shape, found.contiguous) == (shape, contiguous)


def test_parameters_and_the_older_builder_are_tensors_and_other_calls_are_nothing(tmp_path: Path) -> None:
    storage = Storage("BFloat16Storage", "0", 4)
    value = {
        "parameter": Called("torch._utils", "_rebuild_parameter", tensor(storage, (4,)), True, OrderedDict()),
        "older": Called("torch._utils", "_rebuild_tensor", storage, 1, (3,), (1,)),
        "quantised": Called("torch._utils", "_rebuild_qtensor", storage, 0, (4,), (1,)),
        5: tensor(storage, (4,)),
    }
    header = read_header(archived(tmp_path / "m.pt", pickled(value), {"0": bytes(8)}))
    assert described(header) == [
        ("parameter", (4,), TensorType.BF16, 8, True),
        ("older", (3,), TensorType.BF16, 6, True),
    ]


def test_an_unknown_storage_class_is_told_by_its_own_name(tmp_path: Path) -> None:
    value = {"w": tensor(Storage("StrangeStorage", "0", 4), (4,))}
    (found,) = read_header(archived(tmp_path / "m.pt", pickled(value), {"0": bytes(8)})).tensors
    assert (found.type, found.raw_type, found.nbytes) == (None, "torch.StrangeStorage", 0)


def test_compressed_members_have_no_place_in_the_file(tmp_path: Path) -> None:
    value = {"w": tensor(Storage("HalfStorage", "0", 400), (400,), offset=0)}
    path = archived(tmp_path / "m.pt", pickled(value), {"0": bytes(800)}, zipfile.ZIP_DEFLATED)
    assert [t.offset for t in read_header(path).tensors] == [-1]


def test_an_archive_that_lacks_a_storage_or_its_pickle_is_refused_with_the_reason(tmp_path: Path) -> None:
    value = {"w": tensor(Storage("HalfStorage", "17", 4), (4,))}
    with pytest.raises(HeaderError, match=r"^m\.pt: the archive lacks the storage '17'$"):
        read_header(archived(tmp_path / "m.pt", pickled(value), {"0": bytes(8)}))
    with zipfile.ZipFile(tmp_path / "n.pt", "w") as archive:
        archive.writestr("model/other.pkl", b"")
    with pytest.raises(HeaderError, match=r"^n\.pt: a zip archive without data\.pkl: not a torch file$"):
        read_header(tmp_path / "n.pt")


def test_a_storage_whose_place_in_the_directory_is_wrong_is_refused(tmp_path: Path) -> None:
    value = {"w": tensor(Storage("HalfStorage", "0", 4), (4,))}
    path = archived(tmp_path / "m.pt", pickled(value), {"0": bytes(8)})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")  # the directory's entry of the last member; its place is 42 bytes on
    data[at + 42 : at + 46] = struct.pack("<I", struct.unpack_from("<I", data, at + 42)[0] + 1)
    path.write_bytes(data)
    with pytest.raises(HeaderError, match="the storage '0' has no zip header where the directory says"):
        read_header(path)


# ------------------------------------------------------------------ the row of pickles of older versions


def legacy(value: object, data: bytes, *, protocol: int = 1001) -> bytes:
    parts = (0x1950A86A20F9469CFC6C, protocol, {"little_endian": True}, value, ["0", "1"])
    return b"".join(map(pickled, parts)) + data


def test_the_older_row_of_pickles_is_read_with_the_places_of_its_storages(tmp_path: Path) -> None:
    one, two = Storage("HalfStorage", "1", 4), Storage("FloatStorage", "0", 2)
    path = tmp_path / "m.pt"
    # Each storage begins with its length in eight bytes; they come in the order of their keys.
    data = struct.pack("<q", 2) + b"f" * 8 + struct.pack("<q", 4) + b"h" * 8
    path.write_bytes(legacy({"h": tensor(one, (2, 2)), "f": tensor(two, (1,), offset=1)}, data))
    header = read_header(path)
    assert header.format is ModelFormat.TORCH_LEGACY
    assert described(header) == [("h", (2, 2), TensorType.F16, 8, True), ("f", (1,), TensorType.F32, 4, True)]
    content = path.read_bytes()
    assert [content[t.offset :][: t.nbytes] for t in header.tensors] == [b"h" * 8, b"f" * 4]


def test_a_row_of_pickles_of_another_protocol_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(legacy({}, b"", protocol=1002))
    with pytest.raises(HeaderError, match=r"^m\.pt: torch file of the unknown protocol 1002$"):
        read_header(tmp_path / "m.pt")


# ------------------------------------------------------------------ opcodes that no torch.save writes


@pytest.mark.parametrize(
    ("program", "root", "names"),
    [
        (b"(lp0\nI1\na.", [1], []),  # LIST, PUT, APPEND of protocol 0
        (b"(dS'k'\nI1\ns.", {"k": 1}, []),  # DICT, SETITEM
        (b"(S'k'\nI1\nd.", {"k": 1}, []),
        (b"I1\n2\x86.", (1, 1), []),  # DUP, TUPLE2
        (b"I1\nI2\n0.", 1, []),  # POP
        (b"I1\n(I2\nI3\n1.", 1, []),  # POP_MARK
        (b"K\x01\x85.", (1,), []),
        (b"K\x01K\x02K\x03\x87.", (1, 2, 3), []),
        (b"(K\x01K\x02t.", (1, 2), []),
        (b"](K\x01K\x02e.", [1, 2], []),
        (b"\x8f(K\x01\x90.", [1], []),  # EMPTY_SET, ADDITEMS
        (b"(K\x01\x91.", [1], []),  # FROZENSET
        (b"K\x05q\x000h\x00.", 5, []),  # BINPUT, POP, BINGET
        (b"K\x05r\x00\x01\x00\x000j\x00\x01\x00\x00.", 5, []),  # LONG_BINPUT, LONG_BINGET
        (b"K\x05\x94K\x06\x9400h\x01.", 6, []),  # MEMOIZE
        (b"K\x05p7\n0g7\n.", 5, []),
        (b"}(K\x01K\x02u.", {1: 2}, []),
        (b"K\x01K\x02b.", 1, []),  # BUILD leaves what it is done to
        (b"N\x88\x89\x87.", (None, True, False), []),
        (b"(icollections\nOrderedDict\n.", {}, ["collections.OrderedDict"]),  # INST
        (b"(ccollections\nOrderedDict\no.", {}, ["collections.OrderedDict"]),  # OBJ
        (b"ccollections\nOrderedDict\n)\x81.", {}, ["collections.OrderedDict"]),  # NEWOBJ
        (b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R.", {}, ["collections.OrderedDict"]),  # STACK_GLOBAL
    ],
)
def test_each_opcode_does_to_the_stack_what_the_pickle_machine_does(
    program: bytes, root: object, names: list[str]
) -> None:
    found = disassemble(io.BytesIO(program))
    assert found.root == root
    assert type(found.root) is type(root)
    assert found.globals == names


@pytest.mark.parametrize(
    ("program", "names"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", ["os.system"]),
        (b"(S'true'\nios\nsystem\n.", ["os.system"]),
        (b"cos\nsystem\n)}\x92.", ["os.system"]),  # NEWOBJ_EX
        (b"\x82\x07.", ["copyreg.extension_7"]),
        (b"K\x01K\x02\x93.", [COMPUTED]),
        (b"cos\nsystem\ncos\nsystem\n0.", ["os.system"]),
        (b"Psome id\n.", []),
        (b"\x97.", []),
    ],
)
def test_what_only_running_could_tell_is_no_value_and_every_name_is_told(program: bytes, names: list[str]) -> None:
    found = disassemble(io.BytesIO(program))
    assert found.globals == names
    assert found.tensors == []
    assert not isinstance(found.root, dict | list | tuple | int | str)


@pytest.mark.parametrize(
    "program", [b"t.", b"K\x01\x86.", b"0.", b"h\x00.", b"a.", b"R.", b"\x93.", b"}(K\x01"], ids=lambda p: p.hex()
)
def test_a_program_that_lacks_what_it_takes_is_broken(program: bytes) -> None:
    with pytest.raises(HeaderError, match="the pickle is broken"):
        disassemble(io.BytesIO(program))


def test_as_many_names_as_matter_are_kept_and_no_name_is_endless() -> None:
    program = b"".join(b"cm\nn%d\n" % number for number in range(1500)) + b"."
    assert len(disassemble(io.BytesIO(program)).globals) == 1000
    assert len(disassemble(io.BytesIO(b"cm\n" + b"n" * 9000 + b"\n.")).globals[0]) == 500


def test_an_impossible_shape_is_refused_with_it(tmp_path: Path) -> None:
    storage = Storage("HalfStorage", "0", 4)
    for shape, stride in (((-1,), (1,)), ((2, 2), (1,)), ((1,) * 9, (1,) * 9)):
        value = {"w": tensor(storage, shape, stride=stride)}
        with pytest.raises(HeaderError, match="impossible shape"):
            read_header(archived(tmp_path / "m.pt", pickled(value), {"0": bytes(8)}))
