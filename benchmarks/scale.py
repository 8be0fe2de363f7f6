"""How rates, latencies and memory grow: 10,000 jobs in the queue, 100,000 in the history, 1,000 listeners.

``python -m benchmarks.scale``. The queue is filled through HTTP with the queue paused; the history is laid into the database by the
server's own store, one transaction each ten thousand.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.calls import Client, picture
from benchmarks.figures import median, percentile
from benchmarks.process import ServerProcess, sdrest, start_sdrest
from benchmarks.results import Result

PENDING = 10_000
FINISHED = 100_000
LISTENERS = 1_000


async def measure(pending: int = PENDING, finished: int = FINISHED, listeners: int = LISTENERS) -> Result:
    """Run it."""
    result = Result(
        "scale",
        "Scale",
        f"{pending:,} jobs queued through HTTP by 8 clients, {finished:,} finished jobs in the database, {listeners:,} Server-Sent Events "
        "listeners to one running job; all routes are asked one request at a time.",
    )
    with tempfile.TemporaryDirectory() as name:
        await _queue(result, Path(name) / "queue", pending)
        await _history(result, Path(name) / "history", finished)
        await _listeners(result, Path(name) / "listeners", listeners)
    return result


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None), read_bufsize=2**18
    )


async def _queue(result: Result, folder: Path, pending: int) -> None:
    rows = []
    folder.mkdir()
    async with sdrest(folder, "--max-pending-jobs", str(pending + 10)) as server, _session() as session:
        client = Client(server, session)
        blocker = await client.submit(picture(1024, 1000))
        done = 0
        for goal in (100, 1_000, pending):
            started_at = time.perf_counter()
            number = goal - done
            await _each(8, number, lambda seed: client.submit(picture(seed=seed)))
            done = goal
            rate = number / (time.perf_counter() - started_at)
            rows.append(
                (
                    f"{goal:,}",
                    f"{rate:.0f}",
                    *await _latencies(client, server, ("/api/queue/status", "/api/status", "/api/health")),
                )
            )
        started_at = time.perf_counter()
        await client.cancel(blocker)
        await client.ended(blocker)
        before = (await client.get("/api/status"))["queue"]["completed_count"]
        await asyncio.sleep(10)
        after = (await client.get("/api/status"))["queue"]["completed_count"]
        result.add(f"pictures a second with {pending:,} jobs waiting", f"{(after - before) / 10:.1f}")
        started_at = time.perf_counter()
        await client.post("/api/queue/clear", {})
        result.add(f"clearing {pending:,} pending jobs", f"{time.perf_counter() - started_at:.2f} s")
    result.add_table(
        "Queueing while a picture is made (median ms of a request)",
        (
            "jobs waiting",
            "queued a second",
            "GET /api/queue/status",
            "GET /api/status",
            "GET /api/health",
            "memory MiB",
        ),
        rows,
    )


async def _each(clients: int, number: int, work: Callable[[int], Awaitable[Any]]) -> None:
    numbers = iter(range(number))

    async def run() -> None:
        for seed in numbers:
            await work(seed)

    await asyncio.gather(*(run() for _ in range(clients)))


async def _latencies(client: Client, server: ServerProcess, paths: tuple[str, ...], rounds: int = 15) -> list[str]:
    found = []
    for path in paths:
        samples = []
        for _ in range(rounds):
            started_at = time.perf_counter()
            await client.get(path)
            samples.append((time.perf_counter() - started_at) * 1000)
        found.append(f"{median(samples):.1f}")
    return [*found, f"{server.memory_mib():.0f}"]


async def _history(result: Result, folder: Path, finished: int) -> None:
    rows = []
    folder.mkdir()
    server = start_sdrest(folder)
    await server.ready("/api/health")
    async with _session() as session:
        job = (await Client(server, session).generate(picture()))["job_id"]
    server.stop()
    present = 1
    for goal in (1_000, finished):
        await asyncio.to_thread(copy_job, folder / "data" / "sdrest.sqlite3", job, goal - present)
        present = goal
        started_at = time.perf_counter()
        server = start_sdrest(folder)
        try:
            start = (await server.ready("/api/health") - started_at) * 1000
            async with _session() as session:
                client = Client(server, session)
                await client.generate(picture())
                times = []
                for seed in range(15):
                    at = time.perf_counter()
                    seconds = (await client.generate(picture(seed=seed)))["generation_time"]
                    times.append((time.perf_counter() - at - seconds) * 1000)
                rows.append((f"{goal:,}", f"{start:.0f}", f"{median(times):.1f}",
                             *await _latencies(client, server, ("/api/queue/status", "/api/status", f"/api/queue/job/{job}"))))  # fmt: skip
        finally:
            server.stop()
    result.add_table(
        "Jobs in the history (ms, median)",
        (
            "jobs",
            "start to first answer",
            "added to a picture",
            "GET /api/queue/status",
            "GET /api/status",
            "GET one job",
            "memory MiB",
        ),
        rows,
    )


def copy_job(database: Path, job: str, copies: int) -> None:
    """Multiply a finished job."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(jobs)") if row[1] not in {"sequence", "id"}]
        columns = ", ".join(names)
        with connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                f"INSERT INTO jobs (id, {columns}) SELECT 'copy-' || hex(randomblob(12)), {columns} FROM jobs, n WHERE id = ?",
                (copies, job),
            )


async def _listeners(result: Result, folder: Path, listeners: int) -> None:
    rows = []
    folder.mkdir()
    async with sdrest(folder, "--max-streams-per-user", str(listeners)) as server:
        for number in (10, 100, listeners):
            async with _session() as session:
                client = Client(server, session)
                job = await client.submit(picture(512, 1000))
                lags: list[float] = []
                events = [0]
                ready = asyncio.Event()
                tasks = [asyncio.create_task(_listen(client, job, events, ready, number)) for _ in range(number)]
                await ready.wait()
                memory = server.memory_mib()
                begun, started_at = events[0], time.perf_counter()
                while time.perf_counter() < started_at + 6:
                    at = time.perf_counter()
                    await client.get("/api/health")
                    lags.append((time.perf_counter() - at) * 1000)
                    await asyncio.sleep(0.05)
                rate = (events[0] - begun) / (time.perf_counter() - started_at)
                at = time.perf_counter()
                await client.cancel(job)
                await asyncio.gather(*tasks)
                told = (time.perf_counter() - at) * 1000
                rows.append((f"{number:,}", f"{rate:.0f}", f"{median(lags):.1f}", f"{percentile(lags, 99):.1f}", f"{told:.0f}",
                             f"{memory:.0f}"))  # fmt: skip
    result.add_table(
        "Listeners to one running job (server and listeners share the machine)",
        ("listeners", "events a second", "/api/health median ms", "p99 ms", "cancel until all know ms", "memory MiB"),
        rows,
    )


async def _listen(client: Client, job: str, events: list[int], ready: asyncio.Event, number: int) -> None:
    """Count raw event lines: parsing a thousand streams would measure the listener."""
    async with client.session.get(f"{client.url}/api/jobs/{job}/events") as reply:
        ending = b'"status":"cancelled"', b'"status": "cancelled"'
        first = True
        async for line in reply.content:
            if line.startswith(b"data:"):
                events[0] += 1
                if first:
                    first = False
                    events[1:] = [(events[1] if len(events) > 1 else 0) + 1]
                    if events[1] == number:
                        ready.set()
                if any(text in line for text in ending):
                    return


if __name__ == "__main__":
    asyncio.run(measure()).save()
