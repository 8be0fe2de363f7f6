"""Whatever a file claims, reading its header ends soon, takes little memory and gives a reason."""

from __future__ import annotations

import json
import random
import resource
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import HEADER_LIMIT_BYTES, HeaderError
from sdrest.registry.readers.layout import check_layout
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.identify import identify
from tests.model_files import (
    gguf_string,
    safetensors_header,
    torch_pickle,
    write_gguf,
    write_safetensors,
    write_torch_zip,
)

_SHAPES = {"model.diffusion_model.img_in.weight": (64, 64), "model.diffusion_model.double_blocks.0.x.weight": (32, 32)}
_MUTANTS = 300


def _originals(folder: Path) -> list[bytes]:
    files = [
        write_safetensors(folder / "a.safetensors", _SHAPES, {"modelspec.title": "T"}),
        write_gguf(folder / "a.gguf", _SHAPES, {"general.name": "T"}, TensorType.Q8_0),
        write_torch_zip(folder / "a.ckpt", _SHAPES),
    ]
    legacy = folder / "a.pt"
    legacy.write_bytes(torch_pickle(_SHAPES) + b"\x80\x02]q\x00." + bytes(20_000))
    return [file.read_bytes() for file in (*files, legacy)]


def mutants(folder: Path) -> Iterator[bytes]:
    """Truncations, bit flips, and number fields overwritten with extreme values, all from one seed."""
    source = random.Random(20240517)
    originals = _originals(folder)
    extremes = [struct.pack("<Q", v) for v in (0, 1, 2**31, 2**32, 2**40, 2**62, 2**63, 2**64 - 1)]
    for number in range(_MUTANTS):
        data = bytearray(originals[number % len(originals)])
        header = min(len(data), 700)
        match number % 3:
            case 0:
                del data[source.randrange(header) :]
            case 1:
                for _ in range(source.randint(1, 8)):
                    data[source.randrange(header)] = source.randrange(256)
            case _:
                at = source.randrange(max(1, header - 8))
                data[at : at + 8] = source.choice(extremes)
        yield bytes(data)


def _judge(path: Path) -> str:
    """``readable``, or the reason why not; recognition and layout checks must survive as well."""
    try:
        header = read_header(path)
    except HeaderError as error:
        return error.message
    identify(header)
    check_layout(header)
    return "readable"


def test_300_mutated_headers_each_get_a_verdict(tmp_path: Path) -> None:
    verdicts = []
    path = tmp_path / "mutant"
    for data in mutants(tmp_path):
        path.write_bytes(data)
        verdicts.append(_judge(path))
    assert len(verdicts) == _MUTANTS
    assert all(verdicts)
    refused = [verdict for verdict in verdicts if verdict != "readable"]
    assert len(refused) > _MUTANTS // 3
    assert len(set(refused)) > 20


def _deep(levels: int) -> bytes:
    text = b'{"a":' + b"[" * levels + b"]" * levels + b"}"
    return struct.pack("<Q", len(text)) + text


_ENTRY = {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither GGUF"),
        (struct.pack("<Q", 2**39) + b"{}", "claims"),
        (struct.pack("<Q", 6) + b"{nope}", "not a JSON object"),
        (_deep(100_000), "not a JSON object|malformed"),
        (safetensors_header({"a": {"shape": [4]}}), "malformed"),
        (safetensors_header({"a": _ENTRY | {"shape": [-4]}}), "impossible shape"),
        (safetensors_header({"a": _ENTRY | {"shape": [1] * 99}}), "impossible shape"),
        (safetensors_header({"a": _ENTRY | {"data_offsets": [8, 0]}}), "impossible offsets"),
        (safetensors_header({"a": _ENTRY | {"data_offsets": [0, "x"]}}), "malformed"),
        (safetensors_header({"__metadata__": 3}), "__metadata__"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "metadata keys"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_string("k") + struct.pack("<I", 99), "value type"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_string("k") + struct.pack("<IIQ", 9, 8, 2**61), "strings|ends"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_string("k") + struct.pack("<IIQ", 9, 4, 2**61), "ends"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_string("k") + struct.pack("<IIQ", 9, 9, 1), "array of arrays"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + gguf_string("t") + struct.pack("<I", 2**31), "dimensions"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_string("general.alignment") + struct.pack("<II", 4, 3),
            "power of two",
        ),
        (b"PK\x03\x04" + bytes(50), "zip"),
        (b"\x80\x02" + b"(" * 1000 + b".", "without tensors"),
        (b"\x80\x02t.", "broken"),
        (b"\x80\x02X" + struct.pack("<I", 2**31 - 1) + b"x", "broken"),
    ],
)
def test_each_kind_of_damage_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(HeaderError, match=reason) as caught:
        read_header(path)
    assert caught.value.message.startswith("model.bin: ")


def test_a_header_that_claims_much_is_not_read_far(tmp_path: Path) -> None:
    """A sparse terabyte of zero-length strings: the reader must stop at its limit, in memory as in time."""
    path = tmp_path / "big.gguf"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_string("k") + struct.pack("<IIQ", 9, 8, 2**33)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(2**40)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(HeaderError, match="larger than"):
        read_header(path)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 3 * HEADER_LIMIT_BYTES


def test_many_tiny_members_are_refused_before_they_are_built(tmp_path: Path) -> None:
    path = tmp_path / "many.safetensors"
    text = b"{" + b",".join(b'"%d":1' % i for i in range(2_100_000)) + b"}"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(HeaderError, match="too many entries"):
        read_header(path)


def _layout_codes(path: Path) -> set[str]:
    return {problem.code for problem in check_layout(read_header(path))}


def test_truncated_and_overlapping_files_are_noticed(tmp_path: Path) -> None:
    whole = write_safetensors(tmp_path / "whole.safetensors", _SHAPES)
    assert _layout_codes(whole) == set()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    assert _layout_codes(cut) == {"truncated"}
    shared = tmp_path / "shared.safetensors"
    shared.write_bytes(safetensors_header({"a": _ENTRY, "b": _ENTRY | {"data_offsets": [4, 12]}}) + bytes(12))
    assert _layout_codes(shared) == {"overlap"}
    assert not check_layout(read_header(shared))[0].fatal


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ({"a": _ENTRY | {"shape": [5]}}, "wrong_size"),
        ({"a": _ENTRY | {"dtype": "F4_X"}}, "unreadable_type"),
        ({"a": _ENTRY | {"shape": [0], "data_offsets": [0, 0]}}, "empty_tensor"),
        ({}, "no_tensors"),
    ],
)
def test_layouts_that_would_end_the_native_process(entries: dict[str, object], code: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors_header(entries) + bytes(8))
    assert code in _layout_codes(path)


def test_unknown_gguf_types_are_a_problem_and_no_crash(tmp_path: Path) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + gguf_string("t") + struct.pack("<IQIQ", 1, 32, 77, 0)
    path = tmp_path / "m.gguf"
    path.write_bytes(head + bytes(200))
    assert _layout_codes(path) == {"unreadable_type"}


def test_pickles_are_read_without_running_anything(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    evil = (
        b"\x80\x02cposix\nsystem\n(X" + struct.pack("<I", len(f"touch {marker}")) + f"touch {marker}".encode() + b"tR0"
    )
    path = write_torch_zip(tmp_path / "evil.pt", _SHAPES, evil + torch_pickle(_SHAPES)[2:])
    header = read_header(path)
    assert not marker.exists()
    assert "posix.system" in header.pickle_globals
    assert {t.name for t in header.tensors} == set(_SHAPES)


def test_metadata_json_is_kept_as_text(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", _SHAPES, {"ss_tag_frequency": json.dumps({"1_x": {"cat": 3}})})
    assert read_header(path).metadata["ss_tag_frequency"] == '{"1_x": {"cat": 3}}'
