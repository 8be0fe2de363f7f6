"""How fast a cancel works, what it leaves behind, and whether the next picture is right.

``python -m benchmarks.cancel``: 50 cancels while sampling and 10 while the VAE decodes, at random moments.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.calls import Client, picture
from benchmarks.figures import median, percentile
from benchmarks.process import ServerProcess, sdrest
from benchmarks.results import Result

SAMPLING = 50
DECODING = 10
AIM_MS = 100


async def measure(sampling: int = SAMPLING, decoding: int = DECODING) -> Result:
    """Run it."""
    result = Result(
        "cancel",
        "Cancelling",
        f"{sampling} cancels while a 256×256 picture is sampled and {decoding} while a 512×512 one is decoded; milliseconds from "
        "sending the request to the event that says cancelled. The engine process must stay the same.",
    )
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        async with sdrest(Path(name)) as server, aiohttp.ClientSession() as session:
            client = Client(server, session)
            await client.generate(picture(512, 1))
            undisturbed = await _shown(client)
            child, memory = _child(server)
            rows = []
            for phase, number, body in (
                ("sample", sampling, picture(256, 1000)),
                ("decode", decoding, picture(512, 1)),
            ):
                times = [await _cancel_once(client, body, phase, chance) for _ in range(number)]
                rows.append(
                    (phase, number, *(f"{value:.0f}" for value in (median(times), percentile(times, 90), max(times))))
                )
                met = median(times) < AIM_MS
                result.add(
                    f"cancel while in phase {phase}, median", f"{median(times):.0f} ms", f"< {AIM_MS} ms", met=met
                )
            result.add_table(
                "From the request to cancelled (ms)", ("phase", "cancels", "median", "p90", "slowest"), rows
            )
            after = await _shown(client)
            same_child, memory_after = _child(server)
    result.add("next picture equal to an undisturbed one", str(after == undisturbed), "True", met=after == undisturbed)
    result.add("engine process replaced", str(child != same_child), "False", met=child == same_child)
    grown = memory_after - memory
    result.add(
        "memory of the engine before → after", f"{memory:.1f} → {memory_after:.1f} MiB", "+10 MiB", met=grown < 10
    )
    return result


async def _shown(client: Client) -> str:
    return str((await client.generate(picture()))["images"][0]["data"])


def _child(server: ServerProcess) -> tuple[int, float]:
    engine = server.engine()
    assert engine is not None
    return engine.pid, engine.memory_info().rss / 2**20


async def _cancel_once(client: Client, body: dict[str, Any], phase: str, chance: random.Random) -> float:
    job = await client.submit(body)
    started_at = 0.0
    request: asyncio.Task[None] | None = None

    async def ask() -> None:
        nonlocal started_at
        await asyncio.sleep(chance.uniform(0, 0.2))
        started_at = time.perf_counter()
        await client.cancel(job)

    async for name, data in client.events(job):
        if name == "progress" and request is None and data["stage"] == phase:
            request = asyncio.create_task(ask())
        if name == "state" and data["status"] in {"cancelled", "completed", "failed"}:
            ended_at = time.perf_counter()
            if data["status"] != "cancelled" or request is None:
                raise RuntimeError(f"the job ended as {data['status']} before it was cancelled")
            await request
            return (ended_at - started_at) * 1000
    raise RuntimeError("the event stream ended before the job")


if __name__ == "__main__":
    asyncio.run(measure()).save()
