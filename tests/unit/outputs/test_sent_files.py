"""Pictures that users have sent: theirs alone, bounded, over restarts, and gone when their time is over."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdrest.core.errors import NotFound, TooLarge
from sdrest.outputs.sent_files import SentFile, SentFiles

DAY = 86_400


@dataclass
class Clock:
    """Seconds since 1970, as the test sets them."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def picture(file_format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, file_format)
    return stream.getvalue()


def kept(files: SentFiles, owner: str = "ann", data: bytes = picture(), **more: Any) -> SentFile:
    return files.add(owner, data, name="a.png", purpose="vision", **more)


def test_a_file_is_its_owners_and_is_there_after_a_restart(tmp_path: Path) -> None:
    files = SentFiles(tmp_path / "files", max_bytes=10_000)
    mine = kept(files, data=picture("WEBP"))
    again, path = SentFiles(tmp_path / "files", max_bytes=10_000).get("ann", mine.id)
    assert (again, path.read_bytes(), again.media_type) == (mine, picture("WEBP"), "image/webp")
    assert files.all("ann") == [mine]
    for other in ("bob", "ann/../ann", ""):
        assert files.all(other) == []
        with pytest.raises(NotFound):
            files.get(other, mine.id)
        with pytest.raises(NotFound):
            files.remove(other, mine.id)
    files.remove("ann", mine.id)
    with pytest.raises(NotFound):
        files.get("ann", mine.id)
    assert not list((tmp_path / "files").rglob("*.*"))


def test_an_owner_has_room_for_so_many_bytes(tmp_path: Path) -> None:
    files = SentFiles(tmp_path, max_bytes=2 * len(picture()))
    first = kept(files)
    kept(files)
    with pytest.raises(TooLarge, match="delete some"):
        kept(files)
    kept(files, "bob")
    files.remove("ann", first.id)
    assert len(files.all("ann")) == 1
    assert kept(files) in files.all("ann")


def test_a_file_goes_when_it_expires_or_is_too_old(tmp_path: Path, clock: Clock) -> None:
    files = SentFiles(tmp_path, max_bytes=10_000, keep_days=2, clock=clock)
    expiring, lasting = kept(files, expires_seconds=3600), kept(files)
    assert expiring.expires_at == expiring.created_at + 3600
    clock.now += 3600
    assert files.all("ann") == [lasting]
    with pytest.raises(NotFound):
        files.get("ann", expiring.id)
    files.sweep()
    assert {path.stem for path in tmp_path.rglob("*.*")} == {lasting.id}
    clock.now += 2 * DAY
    files.sweep()
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_leaves_is_removed_and_what_is_being_written_is_not(tmp_path: Path, clock: Clock) -> None:
    files = SentFiles(tmp_path, max_bytes=10_000, clock=clock)
    (folder,) = {files.get("ann", kept(files).id)[1].parent}
    for name, age in (("old.data", 2 * 3600), ("new.data", 60), (".x.json.1a2b.7.part", 2 * 3600)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (clock.now - age,) * 2)
    files.sweep()
    (whole,) = files.all("ann")
    assert {path.name for path in folder.iterdir()} == {f"{whole.id}.json", f"{whole.id}.data", "new.data"}
