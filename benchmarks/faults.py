"""Every fault test, the long ones too, as a table: what was done, and whether what must hold held.

``python -m benchmarks.faults``; about six minutes on two cores.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.machine import ROOT
from benchmarks.results import Result


async def measure() -> Result:
    """Run ``tests/faults`` in a process of its own, and take its outcome over."""
    result = Result(
        "faults",
        "Faults",
        "Each test under tests/faults does to a server with the real library what its line says. In all of them no accepted job may be lost "
        "or done twice, no half file or process may be left, and the server must go on to answer and to generate.",
    )
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = (sys.executable, "-m", "pytest", "-q", "tests/faults", f"--junitxml={report}")
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        await process.wait()
        rows = list(_rows(report))
    held = sum(row[1] == "held" for row in rows)
    result.add("faults survived", f"{held} of {len(rows)}", "all", met=held == len(rows) and process.returncode == 0)
    result.add_table("What was done to it", ("fault", "outcome", "seconds"), rows)
    return result


def _rows(report: Path) -> Iterator[tuple[str, str, str]]:
    for case in ET.parse(report).iter("testcase"):
        outcome = next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "held")
        yield _sentence(case.get("name", "")), outcome, f"{float(case.get('time', 0)):.1f}"


def _sentence(name: str) -> str:
    """``test_a_full_disk_…[openai]`` as words. Bytes that a test is called with are left out: they are not for reading."""
    words, _, case = name.removeprefix("test_").partition("[")
    text = words.replace("_", " ").capitalize()
    return f"{text} ({case[:-1]})" if re.fullmatch(r"[a-z0-9]+\]", case) else text
