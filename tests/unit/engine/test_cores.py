"""The number of threads follows what the process may use, not only what the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sdrest.engine.cores import usable_cores

PHYSICAL = min(psutil.cpu_count(logical=False) or 1, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", PHYSICAL),
        ("50000 100000\n", 1),
        ("100000 100000\n", 1),
        ("150000 100000\n", min(2, PHYSICAL)),
        ("6400000 100000\n", PHYSICAL),
        ("nonsense", PHYSICAL),
    ],
)
def test_a_containers_quota_counts(text: str, cores: int, tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text(text, encoding="ascii")
    assert usable_cores(limit) == cores


def test_without_a_quota_the_cores_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "nothing") == PHYSICAL


def test_the_affinity_of_the_process_counts() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from sdrest.engine.cores import usable_cores; print(usable_cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
