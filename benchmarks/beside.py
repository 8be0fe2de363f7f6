"""What all parts of the comparison share: the programs, their models, and timing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable
from pathlib import Path

import psutil

from benchmarks.machine import ROOT
from benchmarks.peers import Files, Peers
from benchmarks.results import Result
from benchmarks.rivals import Rival
from tests.tiny.build import build, file_of

MODELS = ROOT / "build" / "bench" / "models"


class Bench:
    """What all parts share."""

    def __init__(self, result: Result, programs: Peers, folder: Path) -> None:
        self.result = result
        self.peers = programs
        self.folder = folder
        self.threads = psutil.cpu_count(logical=False) or 1

    def new_folder(self, name: str) -> Path:
        """An empty folder of this run."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


def tiny(name: str) -> Files:
    """A tiny model that all programs are given."""
    main = _built(name, MODELS / "checkpoints")
    return Files(main, _built("flux2_vae", MODELS / "vae") if name == "ernie" else None)


def _built(name: str, folder: Path) -> Path:
    path = file_of(name, folder)
    return path if path.exists() else build(name, folder)


def named(pair: tuple[Rival, Rival]) -> list[tuple[str, Rival]]:
    """The two with their names."""
    return list(zip(("sdrest", "sd-server"), pair, strict=True))


async def timed(work: Awaitable[str]) -> tuple[float, str]:
    """Milliseconds, and what the work gave."""
    started_at = time.perf_counter()
    found = await work
    return (time.perf_counter() - started_at) * 1000, found
