"""A model file is known by what is in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdrest.registry.contents import Contents, content_id

LARGE = 9 << 20


def sparse(path: Path, size: int, *marks: int) -> Path:
    """A file of zeros with a one at each mark."""
    with path.open("wb") as stream:
        stream.truncate(size)
        for mark in marks:
            stream.seek(mark)
            stream.write(b"\1")
    return path


def test_neither_name_nor_time_matters(tmp_path: Path) -> None:
    first, second = sparse(tmp_path / "a.gguf", LARGE, 5), sparse(tmp_path / "b.safetensors", LARGE, 5)
    os.utime(second, (1, 1))
    assert content_id(first) == content_id(second)


@pytest.mark.parametrize(
    ("size", "marks"), [(LARGE, ()), (LARGE + 1, (5,)), (LARGE, (0,)), (LARGE, (5, LARGE - 1)), (LARGE, (5, 1 << 20))]
)
def test_size_header_end_and_pieces_between_matter(tmp_path: Path, size: int, marks: tuple[int, ...]) -> None:
    assert content_id(sparse(tmp_path / "a", LARGE, 5)) != content_id(sparse(tmp_path / "b", size, *marks))


def test_of_a_small_file_every_byte_matters(tmp_path: Path) -> None:
    ids = {content_id(sparse(tmp_path / "a", 4000, *marks)) for marks in ((), (1,), (2000,), (3999,))}
    assert len(ids) == 4


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name / "unet").mkdir(parents=True)
        sparse(tmp_path / name / "unet" / "model.safetensors", 100)
    sparse(tmp_path / "c" / "unet" / "model.safetensors", 100, 7)
    assert content_id(tmp_path / "a") == content_id(tmp_path / "b") != content_id(tmp_path / "c")


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    contents, path = Contents(), sparse(tmp_path / "a", 100)
    before = contents.of(str(path))
    assert contents.of(str(path)) == before
    sparse(path, 100, 3)
    os.utime(path, (1, 1))
    assert contents.of(str(path)) != before
