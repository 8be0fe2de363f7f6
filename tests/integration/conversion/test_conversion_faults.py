"""Conversions that go wrong: what is said, and what is left."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sdrest.conversion.compare import check_values, compare_with_plan
from sdrest.conversion.plan import Conversion, make_plan
from sdrest.conversion.progress import Progress
from sdrest.conversion.rules import parse_rules
from sdrest.conversion.run import convert
from sdrest.conversion.verify import ConversionFailed, verify_structure
from sdrest.core.errors import Cancelled, InsufficientStorage, InvalidInput, ModelUnusable
from sdrest.core.tensor_types import TensorType
from tests.integration.conversion.test_conversion import SOURCE, converted, left, tensors_of, wide
from tests.model_files import safetensors_header
from tests.needs import require

# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_values_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    data = np.ones((4, 32), np.float32)
    data[2, 5] = np.nan
    entry = {"dtype": "F32", "shape": [4, 32], "data_offsets": [0, data.nbytes]}
    source = tmp_path / "a.safetensors"
    source.write_bytes(safetensors_header({"bad.weight": entry}) + data.tobytes())
    with pytest.raises(ModelUnusable, match=r"bad.weight holds values that are no finite numbers"):
        converted(source, tmp_path / "o.gguf", TensorType.Q8_0)
    data[2, 5] = 1e6
    source.write_bytes(safetensors_header({"bad.weight": entry}) + data.tobytes())
    with pytest.raises(ModelUnusable, match="beyond the range of f16"):
        converted(source, tmp_path / "o.gguf", TensorType.F16)
    assert left(tmp_path) == ["a.safetensors"]
    kept = converted(source, tmp_path / "o.gguf", TensorType.F16, rules=parse_rules("bad=bf16"))
    assert tensors_of(kept)["bad.weight"][0] == 30


def test_a_stopped_conversion_leaves_nothing(tmp_path: Path) -> None:
    plan = make_plan(Conversion(SOURCE, tmp_path / "o.gguf", TensorType.Q8_0))
    asked = iter(range(1000))
    with pytest.raises(Cancelled):
        convert(plan, cancelled=lambda: next(asked) > 20)
    assert left(tmp_path) == []


def test_an_existing_result_survives_a_stopped_overwriting(tmp_path: Path) -> None:
    target = tmp_path / "o.gguf"
    target.write_bytes(b"precious")
    plan = make_plan(Conversion(SOURCE, target, TensorType.Q8_0, overwrite=True))
    with pytest.raises(Cancelled):
        convert(plan, cancelled=lambda: True)
    assert target.read_bytes() == b"precious"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    require("mount")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_too_little_space_is_said_before_writing(full_disk: Path) -> None:
    with pytest.raises(InsufficientStorage, match="MiB free"):
        converted(SOURCE, full_disk / "o.gguf", TensorType.F32)
    assert left(full_disk) == []


def test_a_disk_that_fills_up_meanwhile_leaves_no_half_file(full_disk: Path, tmp_path: Path) -> None:
    source = wide(tmp_path / "a.safetensors")
    plan = make_plan(Conversion(source, full_disk / "o.gguf", TensorType.F32))

    def fill(_: Progress) -> None:
        with contextlib.suppress(OSError), (full_disk / "other").open("ab") as file:
            file.write(bytes(4 << 20))

    with pytest.raises(InsufficientStorage, match="became full"):
        convert(plan, progress=fill)
    assert left(full_disk) == ["other"]


def test_a_folder_that_cannot_be_written_is_refused(full_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(full_disk)], check=True)
    with pytest.raises(InvalidInput, match="cannot be written"):
        converted(SOURCE, full_disk / "o.gguf", TensorType.Q8_0)


def test_a_file_written_wrong_does_not_get_its_name(tmp_path: Path) -> None:
    plan = make_plan(Conversion(SOURCE, tmp_path / "o.gguf", TensorType.Q8_0))
    path = convert(plan).path
    verify_structure(plan, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-64])
    with pytest.raises(ConversionFailed):
        verify_structure(plan, path)
    renamed = whole.replace(b"x_embedder.proj.weight", b"x_embedder.proj.wejght", 1)
    path.write_bytes(renamed)
    with pytest.raises(ConversionFailed, match="missing"):
        verify_structure(plan, path)


def test_values_that_were_lost_are_noticed(tmp_path: Path) -> None:
    plan = make_plan(Conversion(SOURCE, tmp_path / "o.gguf", TensorType.F16))
    path = convert(plan).path
    data = bytearray(path.read_bytes())
    data[-200_000:] = os.urandom(200_000)
    path.write_bytes(data)
    with pytest.raises(ConversionFailed, match="as great as its values"):
        check_values(compare_with_plan(plan, path))
