"""What is read of GGUF files, against files of the format's own writer and against bytes written by hand."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.gguf import KeyValue, read_key_values
from sdrest.registry.readers.header import METADATA_ARRAY_LIMIT, HeaderError
from sdrest.registry.readers.reading import read_header
from tests.model_files import gguf_string

#: Value types of the specification, with a value of each as bytes and as read.
SCALARS = [
    (0, struct.pack("<B", 200), 200),
    (1, struct.pack("<b", -100), -100),
    (2, struct.pack("<H", 60_000), 60_000),
    (3, struct.pack("<h", -30_000), -30_000),
    (4, struct.pack("<I", 4_000_000_000), 4_000_000_000),
    (5, struct.pack("<i", -2_000_000_000), -2_000_000_000),
    (6, struct.pack("<f", 0.5), 0.5),
    (7, b"\x01", True),
    (10, struct.pack("<Q", 2**63), 2**63),
    (11, struct.pack("<q", -(2**62)), -(2**62)),
    (12, struct.pack("<d", 0.1), 0.1),
]


def write(path: Path, metadata: list[tuple[str, int, bytes]], tensors: list[bytes] = [], *, version: int = 3) -> Path:  # noqa: B006
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, kind, value in metadata:
        head += gguf_string(key) + struct.pack("<I", kind) + value
    path.write_bytes(head + b"".join(tensors) + bytes(256))
    return path


def entry(name: str, shape: tuple[int, ...], ggml_id: int, offset: int) -> bytes:
    """A tensor's line; the format has the innermost size first."""
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
    return gguf_string(name) + sizes + struct.pack("<IQ", ggml_id, offset)


def array(kind: int, items: list[bytes]) -> bytes:
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def test_a_file_of_the_formats_own_writer_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    weights: dict[str, np.ndarray[Any, Any]] = {
        "a.weight": np.arange(6, dtype=np.float16).reshape(2, 3),
        "b": np.arange(5, dtype=np.float32),
    }
    writer = gguf.GGUFWriter(path, "flux")
    writer.add_name("A name")
    writer.add_array("words", ["one", "two"])
    for name, values in weights.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_header(path)
    assert header.format is ModelFormat.GGUF
    assert header.file_size == path.stat().st_size
    assert header.metadata == {"general.architecture": "flux", "general.name": "A name", "words": ("one", "two")}
    assert [(t.name, t.shape, t.type, t.nbytes) for t in header.tensors] == [
        ("a.weight", (2, 3), TensorType.F16, 12),
        ("b", (5,), TensorType.F32, 20),
    ]
    content = path.read_bytes()
    assert [content[t.offset :][: t.nbytes] for t in header.tensors] == [v.tobytes() for v in weights.values()]
    assert header.data_offset == header.tensors[0].offset


@pytest.mark.parametrize(("kind", "raw", "value"), SCALARS)
def test_every_type_of_value_is_read_alone_and_in_arrays(kind: int, raw: bytes, value: object, tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", [("alone", kind, raw), ("many", 9, array(kind, [raw] * 3)), ("end", 7, b"\x00")])
    expected = pytest.approx(value) if isinstance(value, float) else value
    metadata = read_header(path).metadata
    assert metadata["alone"] == expected
    assert metadata["many"] == (expected,) * 3
    assert metadata["end"] is False
    alone, many, _ = read_key_values(path)
    assert (alone.key, alone.kind, alone.item_kind, alone.value) == ("alone", kind, None, expected)
    assert (many.key, many.kind, many.item_kind, many.value) == ("many", 9, kind, (expected,) * 3)


def test_long_arrays_are_cut_for_the_header_and_whole_for_who_copies_them(tmp_path: Path) -> None:
    words = [f"w{number}".encode() for number in range(METADATA_ARRAY_LIMIT + 10)]
    strings = array(8, [gguf_string(word.decode()) for word in words])
    numbers = array(4, [struct.pack("<I", number) for number in range(METADATA_ARRAY_LIMIT + 10)])
    path = write(
        tmp_path / "m.gguf", [("s", 8, gguf_string("ü")), ("words", 9, strings), ("n", 9, numbers), ("end", 7, b"\x01")]
    )
    metadata = read_header(path).metadata
    assert metadata["words"] == tuple(word.decode() for word in words[:METADATA_ARRAY_LIMIT])
    assert metadata["n"] == tuple(range(METADATA_ARRAY_LIMIT))
    assert metadata["end"] is True
    assert read_key_values(path) == (
        KeyValue("s", 8, None, "ü".encode()),
        KeyValue("words", 9, 8, tuple(words)),
        KeyValue("n", 9, 4, tuple(range(METADATA_ARRAY_LIMIT + 10))),
        KeyValue("end", 7, None, True),
    )


@pytest.mark.parametrize("alignment", [None, 1, 64, 128])
def test_data_begins_where_the_alignment_says(alignment: int | None, tmp_path: Path) -> None:
    metadata = [] if alignment is None else [("general.alignment", 4, struct.pack("<I", alignment))]
    path = write(tmp_path / "m.gguf", metadata, [entry("a", (2, 32), 8, 0), entry("b", (3,), 0, 128)], version=2)
    header = read_header(path)
    end = path.stat().st_size - 256
    assert header.data_offset % (alignment or 32) == 0
    assert 0 <= header.data_offset - end < (alignment or 32)
    a, b = header.tensors
    assert (a.shape, a.type, a.nbytes, a.raw_type) == ((2, 32), TensorType.Q8_0, 68, "ggml type 8")
    assert (b.shape, b.type, b.nbytes, b.offset - a.offset) == ((3,), TensorType.F32, 12, 128)


def test_a_tensor_type_that_only_newer_libraries_know_is_told(tmp_path: Path) -> None:
    (found,) = read_header(write(tmp_path / "m.gguf", [], [entry("a", (4,), 999, 0)])).tensors
    assert (found.type, found.nbytes, found.raw_type) == (None, 0, "ggml type 999")


def test_many_tensors_are_read_over_the_edges_of_what_is_read_at_once(tmp_path: Path) -> None:
    names = [f"blocks.{number}.{'x' * (number % 97)}.weight" for number in range(3000)]
    header = read_header(
        write(tmp_path / "m.gguf", [], [entry(name, (number + 1,), 0, 0) for number, name in enumerate(names)])
    )
    assert [(t.name, t.shape) for t in header.tensors] == [(name, (number + 1,)) for number, name in enumerate(names)]


@pytest.mark.parametrize("alignment", [0, 3, 48])
def test_an_alignment_that_is_no_power_of_two_is_refused(alignment: int, tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", [("general.alignment", 4, struct.pack("<I", alignment))])
    with pytest.raises(HeaderError, match=f"general.alignment is {alignment}, not a power of two"):
        read_header(path)


def test_what_ends_too_soon_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    metadata = [
        ("a", 8, gguf_string("text")),
        ("b", 9, array(8, [gguf_string("x")] * 70)),
        ("c", 9, array(2, [b"\0\0"] * 3)),
    ]
    whole = write(tmp_path / "m.gguf", metadata, [entry("w", (2, 2), 0, 0)]).read_bytes()
    for length in range(4, len(whole) - 256):
        (tmp_path / "m.gguf").write_bytes(whole[:length])
        with pytest.raises(HeaderError, match=r"^m\.gguf: "):
            read_header(tmp_path / "m.gguf")
    for length in range(8, len(whole) - 256 - len(entry("w", (2, 2), 0, 0))):
        (tmp_path / "m.gguf").write_bytes(whole[:length])
        with pytest.raises(HeaderError):
            read_key_values(tmp_path / "m.gguf")


def test_bounds_of_what_a_file_may_claim(tmp_path: Path) -> None:
    start = b"GGUF" + struct.pack("<IQQ", 3, 1, 0)
    for content, reason in (
        (b"GGUF" + struct.pack("<IQQ", 3, 100_001, 0), "claims 100001 tensors; at most 100000 are accepted"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 100_001), "claims 100001 metadata keys; at most 100000 are accepted"),
        (start + gguf_string("n" * 4097), "a tensor name claims 4097 bytes"),
        (start + gguf_string("n") + struct.pack("<I9Q", 9, *(1,) * 9), r"tensor bytearray\(b'n'\) claims 9 dimensions"),
        (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), "GGUF version 4; versions 2 and 3 can be loaded"),
    ):
        (tmp_path / "m.gguf").write_bytes(content + bytes(4096))
        with pytest.raises(HeaderError, match=reason):
            read_header(tmp_path / "m.gguf")
    (tmp_path / "m.gguf").write_bytes(
        start + gguf_string("n" * 4096) + struct.pack("<I8QIQ", 8, *(1,) * 8, 0, 0) + bytes(64)
    )
    assert [(len(t.name), t.shape) for t in read_header(tmp_path / "m.gguf").tensors] == [(4096, (1,) * 8)]
