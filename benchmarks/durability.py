"""Whether jobs survive a server that is killed: none lost, none done twice.

``python -m benchmarks.durability``: 100 jobs are queued, then the server is killed with SIGKILL at random moments 20 times and
started again each time. Each picture file must be written by one completed job, and each job must end once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.calls import Client, picture
from benchmarks.figures import median
from benchmarks.process import ServerProcess, free_port, start_sdrest
from benchmarks.results import Result, say

JOBS = 100
KILLS = 20
#: A kill comes this long after the server answers: during start-up, loading, sampling, writing, between jobs.
LONGEST_LIFE_SECONDS = 4.0
_SEED = 20260101


async def measure(jobs: int = JOBS, kills: int = KILLS) -> Result:
    """Run it."""
    result = Result(
        "durability",
        "Killed while it works",
        f"{jobs} jobs (64×64, 4 steps) are queued; the server gets SIGKILL at a random moment within {LONGEST_LIFE_SECONDS:.0f} s "
        f"after it answers, {kills} times, and is started again; then the queue is left to drain.",
    )
    chance = random.Random(_SEED)
    orphans = 0
    restarts: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        server = start_sdrest(folder, port=port)
        try:
            await server.ready("/api/health")
            count_endings(folder / "data" / "sdrest.sqlite3")
            ids = await _submit(server, jobs)
            for number in range(kills):
                await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))
                engine = server.engine()
                server.kill()
                orphans += await _outlives(engine)
                started_at = time.perf_counter()
                server = start_sdrest(folder, port=port)
                restarts.append((await server.ready("/api/health") - started_at) * 1000)
                if number % 5 == 4:
                    say(f"killed {number + 1} times")
            rows = await _drained(server, ids)
        finally:
            server.stop()
        found = endings(folder / "data" / "sdrest.sqlite3")
        part_files = [path.name for path in (folder / "data").rglob("*.part")]
    states = Counter(row["status"] for row in rows)
    pictures = Counter(len(row["outputs"]) for row in rows)
    result.add("completed", f"{states['completed']} of {jobs}", "all", met=states["completed"] == jobs)
    for row in rows:
        if row["status"] != "completed":
            say(f"{row['job_id']}: {row['status']}: {row['error']} {row.get('failure')}")
    result.add("lost", str(jobs - len(rows)), "0", met=len(rows) == jobs)
    result.add("with other than one picture", str(jobs - pictures[1]), "0", met=pictures[1] == jobs)
    result.add("done more than once", str(sum(n > 1 for n in found.values())), "0", met=max(found.values()) == 1)
    result.add("engine processes that outlived their server by 1 s", str(orphans), "0", met=orphans == 0)
    result.add("half-written files left", str(len(part_files)), "0", met=not part_files)
    result.add("start to first answer, median", f"{median(restarts):.0f} ms")
    return result


async def _submit(server: ServerProcess, jobs: int) -> list[str]:
    async with aiohttp.ClientSession() as session:
        client = Client(server, session)
        return [await client.submit(picture(seed=number)) for number in range(jobs)]


async def _outlives(engine: Any) -> int:
    if engine is None:
        return 0
    await asyncio.sleep(1)
    with contextlib.suppress(Exception):
        return int(engine.is_running() and engine.status() != "zombie")
    return 0


async def _drained(server: ServerProcess, ids: list[str]) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session:
        client = Client(server, session)
        async with asyncio.timeout(600):
            while True:
                status = await client.get("/api/status")
                if status["queue"]["pending_count"] + status["queue"]["running_count"] == 0:
                    break
                await asyncio.sleep(0.5)
        return [await client.get(f"/api/queue/job/{job_id}") for job_id in ids]


def count_endings(database: Path) -> None:
    """Let the database itself note every ending: what is asked later cannot hide a second one."""
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.executescript("""
            CREATE TABLE benchmark_endings (job_id TEXT NOT NULL);
            CREATE TRIGGER benchmark_ended AFTER UPDATE OF state ON jobs
            WHEN new.state IN ('completed', 'failed', 'cancelled')
            BEGIN INSERT INTO benchmark_endings VALUES (new.id); END;
        """)


def endings(database: Path) -> Counter[str]:
    """How often each job has ended, see :func:`count_endings`."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT job_id FROM benchmark_endings").fetchall()
    return Counter(str(row[0]) for row in rows)


if __name__ == "__main__":
    asyncio.run(measure()).save()
