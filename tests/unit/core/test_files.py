"""Files get their name once they are whole, with the permissions asked for, and never one that another has when told so."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdrest.core.files import atomic_file, name_new, remove_unfinished, unfinished


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a[1].txt"
    with atomic_file(target) as stream:
        stream.write(b"one")
        assert not target.exists()
    with pytest.raises(ZeroDivisionError), atomic_file(target) as stream:
        stream.write(b"two" * (1 // 0))
    assert (target.read_bytes(), names(target.parent)) == (b"one", [target.name])


@pytest.mark.usefixtures("umask")
def test_permissions_are_those_asked_for_from_the_first_moment(tmp_path: Path) -> None:
    for mode, kept in ((0o666, 0o640), (0o600, 0o600)):
        with atomic_file(tmp_path / "a", mode=mode) as stream:
            assert stat.S_IMODE(os.fstat(stream.fileno()).st_mode) == kept
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == kept


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_somebody_else_made_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    if not links:  # as on FAT

        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "a"
    with atomic_file(target, overwrite=False) as stream:
        stream.write(b"first")
    with pytest.raises(FileExistsError), atomic_file(target, overwrite=False) as stream:
        stream.write(b"second")
    part = tmp_path / "part"
    part.write_bytes(b"third")
    with pytest.raises(FileExistsError):
        name_new(part, target)
    assert (target.read_bytes(), names(tmp_path)) == (b"first", ["a", "part"])


def test_what_a_killed_process_left_is_found_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a[1].gguf"
    script = (
        "import os, pathlib, signal, sys; from sdrest.core.files import unfinished\n"
        "with unfinished(pathlib.Path(sys.argv[1])) as path:\n"
        "    path.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for killed in (target, tmp_path / "b.gguf"):
        subprocess.run([sys.executable, "-c", script, killed], check=False)
    with unfinished(target) as path:
        path.write_bytes(b"whole")
        assert len(names(tmp_path)) == 3
        remove_unfinished(target)
        assert path.exists()
    assert [name for name in names(tmp_path) if not name.startswith(".b.gguf.")] == [target.name]
    assert len(names(tmp_path)) == 2
