"""Hashes are A1111's, computed once, and go on where they stopped."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sdrest.core.errors import Cancelled, Conflict
from sdrest.core.model import ModelType
from sdrest.registry.folders import Folders
from sdrest.registry.hashes import HashCache
from sdrest.registry.registry import Registry
from tests.architectures import PARTS
from tests.model_files import write_safetensors


def _big(path: Path, size: int = 9 * 2**20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(1 << 16) * (size >> 16))
    return path


def test_the_short_hashes_are_those_of_a1111(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", PARTS["lora"][1])
    data = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    data[header:] = os.urandom(len(data) - header) + bytes(2**21)
    path.write_bytes(data)
    hashes = HashCache().compute(path)
    assert hashes.sha256 == hashlib.sha256(data).hexdigest()
    assert hashes.autov1 == hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]
    assert hashes.autov2 == hashes.sha256[:10]
    assert hashes.autov3 == hashlib.sha256(data[header:]).hexdigest()[:12]


def test_files_without_a_safetensors_header_have_no_autov3(tmp_path: Path) -> None:
    assert "autov3" not in HashCache().compute(_big(tmp_path / "a.ckpt")).short


def test_progress_and_the_cache(tmp_path: Path) -> None:
    path = _big(tmp_path / "a.ckpt")
    steps: list[tuple[int, int]] = []
    first = HashCache(tmp_path / "h.json").compute(path, lambda done, total: steps.append((done, total)))
    assert steps == [(4 << 20, 9 << 20), (8 << 20, 9 << 20), (9 << 20, 9 << 20)]
    steps.clear()
    again = HashCache(tmp_path / "h.json")
    assert again.compute(path, lambda done, total: steps.append((done, total))) == first
    assert not steps
    os.utime(path, ns=(1, 1))
    assert again.get(path, 9 << 20, 1) is None


def test_a_stopped_hashing_goes_on(tmp_path: Path) -> None:
    path = _big(tmp_path / "a.ckpt")
    cache = HashCache()
    with pytest.raises(Cancelled):
        cache.compute(path, cancelled=lambda: True)
    steps: list[int] = []
    hashes = cache.compute(path, lambda done, _: steps.append(done))
    assert steps[0] == 8 << 20
    assert hashes.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_changes_meanwhile_is_a_conflict(tmp_path: Path) -> None:
    path = _big(tmp_path / "a.ckpt")
    with pytest.raises(Conflict, match="changed while"):
        HashCache().compute(path, lambda done, _: os.utime(path, ns=(done, done)) if done < 5 << 20 else None)


def test_the_catalogue_learns_hashes(tmp_path: Path) -> None:
    _big(tmp_path / "m/checkpoints/a.ckpt")
    registry = Registry(Folders(tmp_path / "m"), tmp_path / "state")
    registry.refresh()
    model = registry.catalogue.resolve("a", ModelType.CHECKPOINT)
    assert model.sha256 is None
    hashes = registry.hash(model)
    assert registry.catalogue.resolve(hashes.autov2).sha256 == hashes.sha256
    later = Registry(Folders(tmp_path / "m"), tmp_path / "state")
    later.refresh()
    assert later.catalogue.resolve("a").sha256 == hashes.sha256
