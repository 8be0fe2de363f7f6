"""pytest fixtures of the tiny models; a test folder gets them with ``pytest_plugins = ["tests.tiny.fixtures"]``."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.tiny.build import build, file_of

CACHE = Path(__file__).parents[1] / ".cache" / "tiny"
NOT_BUILDERS = {"fixtures.py", "probe.py", "recipes.py"}


def version() -> str:
    """A name for what the builders write: the digest of their source text."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        if source.name in NOT_BUILDERS:
            continue
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def cached(name: str) -> Path:
    """The file of the tiny model ``name``, built on its first use by any process; never write to it, copy it.

    The file appears under its name complete, by a rename; a lock keeps two test processes from building it twice.
    Files of other versions of the builders are deleted.
    """
    folder = CACHE / version()
    path = file_of(name, folder)
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        if not path.exists():
            _delete_other_versions(folder)
            work = folder / f"{name}.{os.getpid()}.part"
            build(name, work).rename(path)
            work.rmdir()
    return path


def _delete_other_versions(current: Path) -> None:
    for folder in CACHE.iterdir():
        if folder != current:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_models() -> Callable[[str], Path]:
    """``tiny_models("ernie")``: the path of a tiny model, see ``tests/tiny/build.py`` for the names."""
    return cached
