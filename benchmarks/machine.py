"""What a figure was measured on: without it a number says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Machine:
    """Hardware and software of one run; ``load_average`` is that of the minute before it, by others."""

    taken_at: str
    processor: str
    physical_cores: int
    logical_cores: int
    memory_gib: float
    system: str
    python: str
    native_library: str
    commit: str
    load_average: float


def this_machine() -> Machine:
    """The machine as it is now."""
    return Machine(
        taken_at=datetime.now(UTC).isoformat(timespec="minutes"),
        processor=_processor(),
        physical_cores=psutil.cpu_count(logical=False) or 0,
        logical_cores=psutil.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        native_library=f"stable-diffusion-cpp-python {metadata.version('stable-diffusion-cpp-python')}",
        commit=_commit(),
        load_average=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
