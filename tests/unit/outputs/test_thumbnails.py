"""Thumbnails are made once, as long as the file stays as it is and there is room."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from sdrest.core.errors import InvalidInput
from sdrest.outputs.thumbnails import Thumbnails


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 32), "red").save(path)
    return path


def test_a_thumbnail_is_made_once(picture: Path) -> None:
    kept = Thumbnails()
    first = kept.jpeg(picture, 16)
    assert Image.open(io.BytesIO(first)).size == (16, 8)
    assert kept.jpeg(picture, 16) is first
    assert Image.open(io.BytesIO(kept.jpeg(picture, 32))).size == (32, 16)


def test_a_file_that_has_changed_has_another(picture: Path) -> None:
    kept = Thumbnails()
    first = kept.jpeg(picture, 16)
    Image.new("RGB", (64, 64), "blue").save(picture)
    os.utime(picture, ns=(1, 1))
    assert Image.open(io.BytesIO(kept.jpeg(picture, 16))).size == (16, 16)
    picture.unlink()
    with pytest.raises(FileNotFoundError):
        kept.jpeg(picture, 16)
    picture.write_bytes(b"no picture")
    with pytest.raises(InvalidInput, match=r"a\.png"):
        kept.jpeg(picture, 16)
    assert first


def test_the_oldest_go_when_there_is_no_room(picture: Path) -> None:
    size = len(Thumbnails().jpeg(picture, 16))
    kept = Thumbnails(max_bytes=2 * size + size // 2)
    first, second = kept.jpeg(picture, 16), kept.jpeg(picture, 17)
    assert kept.jpeg(picture, 16) is first
    kept.jpeg(picture, 18)
    assert kept.jpeg(picture, 16) is first
    assert kept.jpeg(picture, 17) is not second
