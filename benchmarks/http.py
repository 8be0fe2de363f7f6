"""Requests a second and latencies of the routes that clients ask most, with 10,000 finished jobs in the database.

``python -m benchmarks http``. Sixteen connections that are kept open ask as fast as they are answered, first with the engine idle, then
while it makes a large picture. The client runs on the same machine and takes its share of the processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from benchmarks.calls import Client, picture
from benchmarks.figures import percentile
from benchmarks.process import sdrest, start_sdrest
from benchmarks.results import Result, say
from benchmarks.scale import copy_job

JOBS = 10_000
CONNECTIONS = 16
SECONDS = 5.0
COLUMNS = ("route", "engine", "requests a second", "p50 ms", "p99 ms", "largest ms")


async def measure(jobs: int = JOBS, seconds: float = SECONDS) -> Result:
    """Run it."""
    result = Result(
        "http",
        "Requests",
        f"{jobs:,} finished jobs; {CONNECTIONS} connections ask for {seconds:g} s as fast as they are answered; client and server share "
        "the machine.",
    )
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "server"
        folder.mkdir()
        ids = await _history(folder, jobs)
        async with sdrest(folder) as server, aiohttp.ClientSession() as session:
            client = Client(server, session)
            routes: tuple[tuple[str, Callable[[], str]], ...] = (
                ("GET /api/health", lambda: "/api/health"),
                ("GET /api/queue/job/{id}", lambda: f"/api/queue/job/{random.choice(ids)}"),
            )
            for engine in ("idle", "busy"):
                blocker = await client.submit(picture(512, 1000)) if engine == "busy" else None
                for label, path in routes:
                    rows.append((label, engine, *await _hammer(server.url, path, seconds)))
                    say(" · ".join(rows[-1]))
                if blocker is not None:
                    await client.cancel(blocker)
    result.add_table("Requests", COLUMNS, rows)
    return result


async def _history(folder: Path, jobs: int) -> list[str]:
    """Lay ``jobs`` finished jobs into the database; their ids."""
    server = start_sdrest(folder)
    await server.ready("/api/health")
    async with aiohttp.ClientSession() as session:
        job = (await Client(server, session).generate(picture()))["job_id"]
    server.stop()
    database = folder / "data" / "sdrest.sqlite3"
    await asyncio.to_thread(copy_job, database, job, jobs - 1)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM jobs")]


async def _hammer(url: str, path: Callable[[], str], seconds: float) -> tuple[str, str, str, str]:
    """Rate, median, 99th percentile and largest time of an answer."""
    times: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        end = time.perf_counter() + seconds

        async def ask() -> None:
            while (at := time.perf_counter()) < end:
                async with session.get(url + path()) as reply:
                    await reply.read()
                    reply.raise_for_status()
                times.append((time.perf_counter() - at) * 1000)

        started_at = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
        rate = len(times) / (time.perf_counter() - started_at)
    return f"{rate:.0f}", f"{percentile(times, 50):.1f}", f"{percentile(times, 99):.1f}", f"{max(times):.1f}"
