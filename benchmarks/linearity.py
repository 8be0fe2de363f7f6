"""How the jobs done in a time grow with the workers.

``python -m benchmarks.linearity``: workers without engines, each over a connection of its own, all in one process; a job takes two
seconds in which a worker only waits, so that the server alone makes the difference.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Final

import aiohttp
import structlog

from benchmarks.calls import Client, picture
from benchmarks.cluster import postgres_server
from benchmarks.figures import percentile
from benchmarks.process import ServerProcess, sdrest
from benchmarks.results import Result, say
from sdrest.net.front import Front, checked_address
from sdrest.work.agent import Agent
from tests.paced_worker import PacedExecutor, paced_agent

WORKERS: Final = (1, 2, 4, 8, 16, 32, 64)
_JOB_SECONDS: Final = 2.0
#: Jobs for each worker.
_ROUNDS: Final = 20
_AIM: Final = 0.95


async def measure(workers: tuple[int, ...] = WORKERS, rounds: int = _ROUNDS) -> Result:
    """Run it."""
    result = Result(
        "linearity",
        "Workers in a cluster",
        f"One server on PostgreSQL that makes no pictures itself, and 1 to {workers[-1]} workers without engines, in one process with a "
        f"connection each: a job takes {_JOB_SECONDS:.0f} s in which the worker waits, then a picture is uploaded. {rounds} jobs for each "
        "worker wait before the first begins. The gap is the time from a worker's upload of a picture until it begins its next job: the "
        "ending is stored, the next job claimed and sent.",
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    rows = []
    with tempfile.TemporaryDirectory(prefix="sdrest-linearity-", dir="/tmp") as name, postgres_server() as postgres:
        flags = (
            "--no-work",
            "--database",
            postgres.new_database(),
            "--max-pending-jobs",
            "100000",
            "--min-free-bytes",
            "0",
        )
        async with sdrest(Path(name), *flags) as server:
            first = 0.0
            for number in workers:
                before = processor_seconds(server)
                rate, gaps = await drain(server, Path(name) / str(number), number, number * rounds, _JOB_SECONDS)
                spent = (processor_seconds(server) - before) * 1000 / (number * rounds)
                first = first or rate / number
                share, load = rate / (number * first), os.getloadavg()[0]
                p50, p99 = (percentile(gaps, percent) * 1000 for percent in (50, 99))
                rows.append(
                    (number, f"{rate:.2f}", f"{share:.3f}", f"{p50:.0f}", f"{p99:.0f}", f"{spent:.0f}", f"{load:.1f}")
                )
                say(f"{rows[-1]}")
    columns = (
        "workers",
        "jobs/s",
        "share of N times one worker",
        "gap p50, ms",
        "gap p99, ms",
        "server's processor time a job, ms",
        "load average",
    )
    result.add_table("Jobs by workers", columns, rows)
    worst = min(float(row[2]) for row in rows)
    result.add("smallest share of N times one worker", f"{worst:.3f}", f"≥ {_AIM}", met=worst >= _AIM)
    return result


def processor_seconds(server: ServerProcess) -> float:
    """What the server has used, submitting included; PostgreSQL's is not in it."""
    return sum(item.cpu_times().user + item.cpu_times().system for item in server.tree())


async def drain(
    server: ServerProcess, folder: Path, workers: int, jobs: int, seconds: float
) -> tuple[float, list[float]]:
    """Have workers carry out jobs that take so many seconds, all submitted before; jobs a second, and the gaps in seconds."""
    agents: list[Agent] = []
    executors: list[PacedExecutor] = []
    async with AsyncExitStack() as stack:
        client = Client(server, await stack.enter_async_context(aiohttp.ClientSession()))
        await client.post("/api/queue/pause", {})
        ids = [await client.submit(picture(seed=number)) for number in range(jobs)]
        tasks = []
        for number in range(workers):
            front = await stack.enter_async_context(Front([checked_address(server.url, has_token=False)], ""))
            agent, executor = paced_agent(front, f"paced-{number}", folder / str(number), seconds)
            executors.append(executor)
            agents.append(agent)
            tasks.append(asyncio.create_task(agent.run()))
        while (
            len([item for item in (await client.get("/api/workers"))["workers"] if item["state"] == "waiting"])
            < workers
        ):
            await asyncio.sleep(0.1)
        await client.post("/api/queue/resume", {})
        while sum(len(executor.times) for executor in executors) < jobs:
            await asyncio.sleep(0.1)
        await client.ended(ids[-1])
        for agent in agents:
            agent.leave()
        await asyncio.gather(*tasks)
        while (await client.get("/api/workers"))["workers"]:
            await asyncio.sleep(0.1)
    times = [executor.times for executor in executors]
    begun = min(item[0][0] for item in times if item)
    done = max(item[-1][1] for item in times if item)
    gaps = [after[0] - before[1] for item in times for before, after in pairwise(item)]
    return jobs / (done - begun), gaps


if __name__ == "__main__":
    asyncio.run(measure()).save()
