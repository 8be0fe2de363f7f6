"""What it costs that a picture is made by a worker and not by the server itself.

``python -m benchmarks.detour``: two servers on this machine, one with an engine of its own, one on PostgreSQL with a worker; each picture
is asked of one and then of the other.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.calls import picture
from benchmarks.cluster import postgres_server
from benchmarks.figures import median, percentile
from benchmarks.machine import ROOT
from benchmarks.process import sdrest
from benchmarks.results import Result
from benchmarks.rounds import some

_PAIRS: Final = 60
_AIM_MS: Final = 15.0


async def measure() -> Result:
    """Run it."""
    pairs = some(_PAIRS)
    result = Result(
        "detour",
        "A worker in the place of the server's own engine",
        f"Two servers on this machine: one with an engine of its own (SQLite), one on PostgreSQL with `sdrest worker` on the same machine, "
        f"over HTTP and WebSocket on the loopback. {pairs} pictures (64×64, 4 steps, a tiny model) are asked of each in turn and waited for "
        "in one request.",
    )
    with tempfile.TemporaryDirectory(prefix="sdrest-detour-", dir="/tmp") as name, postgres_server() as postgres:
        folder = Path(name)
        for part in ("direct", "front", "worker"):
            (folder / part).mkdir()
        flags = ("--no-work", "--database", postgres.new_database())
        async with sdrest(folder / "direct") as direct, sdrest(folder / "front", *flags) as front:
            command = [sys.executable, "-m", "sdrest", "worker", "--connect", front.url, "--log-level", "warning"]
            worker = subprocess.Popen(
                command, cwd=folder / "worker", env={"PYTHONPATH": str(ROOT), "PATH": ""}, stdin=subprocess.DEVNULL
            )
            try:
                times = await _times([direct.url, front.url], pairs)
            finally:
                worker.kill()
                worker.wait()
    own, remote = times
    added = [after - before for before, after in zip(own, remote, strict=True)]
    result.add("own engine, median", f"{median(own):.1f} ms")
    result.add("worker, median", f"{median(remote):.1f} ms")
    result.add(
        "added, median of the pairs", f"{median(added):.1f} ms", f"≤ {_AIM_MS:.0f} ms", met=median(added) <= _AIM_MS
    )
    result.add("added, a tenth of the pairs at least", f"{percentile(added, 90):.1f} ms")
    return result


async def _times(urls: list[str], pairs: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each picture at each of two servers."""
    times: tuple[list[float], list[float]] = ([], [])
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        for number in range(-3, pairs):  # the first ones load the model, and fetch it
            for url, found in zip(urls, times, strict=True):
                began_at = time.perf_counter()
                async with session.post(f"{url}/api/v1/generate", json=picture(seed=number + 10)) as reply:
                    reply.raise_for_status()
                    await reply.read()
                if number >= 0:
                    found.append((time.perf_counter() - began_at) * 1000)
    return times


if __name__ == "__main__":
    asyncio.run(measure()).save()
