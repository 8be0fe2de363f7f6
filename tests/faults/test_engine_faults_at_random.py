"""The engine child stopped, killed and starved at random moments: every accepted job ends once, the server answers throughout."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import sys
from typing import Any

import pytest

from tests.faults.jobs import Client, ended, engine_pid, submitted, until_running, works


async def _watch_health(client: Client) -> None:
    while True:
        assert (await client.get("/api/health")).status == 200
        await asyncio.sleep(0.05)


async def _kill_at_random(client: Client, kills: int, longest: float, signals: list[int]) -> None:
    chance = random.Random(7)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0, longest))
        pid = engine_pid(client)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, chance.choice(signals))


async def _survives(client: Client, jobs: int, kills: int, longest: float, signals: list[int]) -> None:
    health = asyncio.create_task(_watch_health(client))
    ids = [await submitted(client, seed=number) for number in range(jobs)]
    await _kill_at_random(client, kills, longest, signals)
    endings = [await ended(client, job_id, 120) for job_id in ids]
    # A job under which the child was killed in both its attempts fails, as it must; all others are completed.
    for item in endings:
        assert item["status"] == "completed" or (item["attempt"], item["failure"]["slug"]) == (2, "engine_died"), (
            item["error"],
            item["failure"],
        )
        assert len(item["outputs"]) == (item["status"] == "completed")
    assert sum(item["status"] == "completed" for item in endings) >= jobs - kills / 2
    assert not health.done(), health.exception()
    health.cancel()
    await works(client)


@pytest.mark.slow
async def test_random_kills_of_the_child_lose_no_job(client: Client) -> None:
    await _survives(client, 8, 4, 1.5, [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])


@pytest.mark.nightly
async def test_many_random_kills_of_the_child_lose_no_job(client: Client) -> None:
    await _survives(
        client, 100, 40, 2.0, [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGTERM]
    )


@pytest.mark.slow
async def test_a_child_stopped_in_the_middle_of_a_job_is_replaced_and_the_job_repeated(client_factory: Any) -> None:
    client = await client_factory(engine_hang_seconds=2.5)
    await works(client)
    queued = await submitted(client, width=256, height=256, steps=200)
    await until_running(client, queued)
    pid = engine_pid(client)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    found = await ended(client, queued)
    assert (found["status"], found["attempt"]) == ("completed", 2)
    assert engine_pid(client) != pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set with prlimit")
async def test_memory_refused_to_the_child_costs_the_job_and_not_the_server(client: Client) -> None:
    await works(client)
    pid = engine_pid(client)
    assert pid is not None
    used = int((await asyncio.to_thread(_status_kb, pid, "VmSize")) * 1024)
    resource.prlimit(pid, resource.RLIMIT_AS, (used + 2**24, used + 2**24))
    found = await ended(client, await submitted(client, width=768, height=768, steps=1))
    # Either the library says that it got no memory, or the child died of it and its successor, which has no limit, succeeds.
    assert found["error"] if found["status"] == "failed" else (found["status"], found["attempt"]) == ("completed", 2)
    await works(client)


def _status_kb(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:  # noqa: PTH123
        return next(int(line.split()[1]) for line in lines if line.startswith(name))
