"""What is read of safetensors files and of folders of them, against the format's own writer."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import METADATA_STRING_LIMIT, HeaderError
from sdrest.registry.readers.reading import DIFFUSERS_PARTS, is_diffusers_folder, read_header
from sdrest.registry.readers.safetensors import looks_like_safetensors
from tests.model_files import safetensors_header, write_safetensors


def test_a_file_of_the_formats_own_writer_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    weights: dict[str, np.ndarray[Any, Any]] = {
        "a": np.arange(6, dtype=np.float16).reshape(2, 3),
        "b": np.arange(5, dtype=np.float32),
        "c": np.array([7], dtype=np.int64),
    }
    save_file(weights, path, {"modelspec.title": "A title"})
    header = read_header(path)
    assert header.format is ModelFormat.SAFETENSORS
    assert header.file_size == path.stat().st_size
    assert header.metadata == {"modelspec.title": "A title"}
    content = path.read_bytes()
    found = {t.name: t for t in header.tensors}
    assert {name: (t.shape, t.type, t.raw_type) for name, t in found.items()} == {
        "a": ((2, 3), TensorType.F16, "F16"),
        "b": ((5,), TensorType.F32, "F32"),
        "c": ((1,), TensorType.I64, "I64"),
    }
    assert {name: content[t.offset :][: t.nbytes] for name, t in found.items()} == {
        k: v.tobytes() for k, v in weights.items()
    }
    assert header.data_offset == min(t.offset for t in header.tensors)


def test_element_types_that_only_newer_writers_know_are_told(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    entry = {"dtype": "F4_NEW" + "x" * 100, "shape": [], "data_offsets": [0, 8]}
    path.write_bytes(safetensors_header({"w": entry}) + bytes(8))
    (found,) = read_header(path).tensors
    assert (found.type, found.raw_type, found.shape, found.nbytes) == (None, ("F4_NEW" + "x" * 100)[:32], (), 8)


def test_metadata_is_text_of_bounded_length(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors_header({"__metadata__": {"n": 5, "long": "x" * (METADATA_STRING_LIMIT + 1)}}))
    metadata = read_header(path).metadata
    assert metadata["n"] == "5"
    assert metadata["long"] == "x" * METADATA_STRING_LIMIT


@pytest.mark.parametrize(
    ("start", "size", "verdict"),
    [
        (struct.pack("<Q", 2) + b"{}", 10, True),
        (struct.pack("<Q", 2) + b" }", 10, True),
        (struct.pack("<Q", 1) + b"{}", 10, False),
        (struct.pack("<Q", 2) + b"[]", 10, False),
        (struct.pack("<Q", 2**40) + b"{", 10, True),  # too long for this file: said when it is read
        (struct.pack("<Q", 2**40 + 1) + b"{", 10, False),
        (struct.pack("<Q", 2**41) + b"{", 2**42, True),
        (struct.pack("<Q", 2), 8, False),
    ],
)
def test_what_may_be_such_a_file(start: bytes, size: int, verdict: bool) -> None:
    assert looks_like_safetensors(start, size) is verdict


def test_a_header_longer_than_the_file_is_refused_with_both_lengths(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", 100) + b"{" + bytes(98))
    with pytest.raises(HeaderError, match=r"^m\.safetensors: the header claims 100 bytes, the file has 107$"):
        read_header(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shape": [1] * 9}, r"tensor 'w' has the impossible shape \[1, 1, 1, 1, 1, 1, 1, 1, 1\]"),
        ({"shape": [2, -1]}, r"tensor 'w' has the impossible shape \[2, -1\]"),
        ({"data_offsets": [-1, 8]}, r"tensor 'w' has the impossible offsets \[-1, 8\]"),
        ({"data_offsets": [9, 8]}, r"tensor 'w' has the impossible offsets \[9, 8\]"),
    ],
)
def test_impossible_entries_are_refused_with_what_they_say(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    entry = {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors_header({"w": entry | change}) + bytes(8))
    with pytest.raises(HeaderError, match=reason):
        read_header(path)


def test_shapes_of_eight_sizes_and_empty_tensors_are_possible(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    entries = {
        "w": {"dtype": "F16", "shape": [1] * 8, "data_offsets": [0, 2]},
        "none": {"dtype": "F16", "shape": [0, 4], "data_offsets": [2, 2]},
    }
    path.write_bytes(safetensors_header(entries) + bytes(2))
    assert {t.name: (t.shape, t.nbytes) for t in read_header(path).tensors} == {"w": ((1,) * 8, 2), "none": ((0, 4), 0)}


# ------------------------------------------------------------------ folders in the layout of diffusers


def test_a_folder_of_parts_has_the_tensors_of_all_under_the_prefixes_of_the_library(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for number, (part, _) in enumerate(DIFFUSERS_PARTS[:3]):
        write_safetensors(folder / part, {"w": (number + 1, 4)})
    assert is_diffusers_folder(folder)
    header = read_header(folder)
    assert header.format is ModelFormat.DIFFUSERS
    assert [(t.name, t.shape, t.type, t.nbytes) for t in header.tensors] == [
        ("unet.w", (1, 4), TensorType.F16, 8),
        ("vae.w", (2, 4), TensorType.F16, 16),
        ("te.w", (3, 4), TensorType.F16, 24),
    ]
    files = [folder / part for part, _ in DIFFUSERS_PARTS[:3]]
    assert header.file_size == sum(file.stat().st_size for file in files)
    assert [t.offset for t in header.tensors] == [read_header(file).tensors[0].offset for file in files]
    assert {t.raw_type for t in header.tensors} == {"F16"}


def test_a_folder_without_parts_and_a_damaged_part_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert not is_diffusers_folder(tmp_path / "model")
    with pytest.raises(HeaderError, match=r"^model: a folder without unet/diffusion_pytorch_model\.safetensors"):
        read_header(tmp_path / "model")
    part = tmp_path / "model" / DIFFUSERS_PARTS[0][0]
    part.parent.mkdir()
    part.write_bytes(b"")
    with pytest.raises(HeaderError, match=r"^diffusion_pytorch_model\.safetensors: the file is empty$"):
        read_header(tmp_path / "model")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"  \n<html>", "this is a web page, not a model; the download probably needed a login"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "this is a Git LFS pointer, not the model itself; fetch it with git lfs pull",
        ),
        (b"text", "neither GGUF, safetensors nor a torch file"),
    ],
)
def test_what_is_no_model_is_called_what_it_is(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(HeaderError) as caught:
        read_header(tmp_path / "m.gguf")
    assert caught.value.message == f"m.gguf: {reason}"
