"""What the server adds to a picture, and whether it answers while it makes one.

``python -m benchmarks.overhead``: one 64×64 picture in 4 steps through ``POST /api/v1/generate`` and through a bare call of the
library, in turns; then ``/api/health`` every 20 ms while a 512×512 picture is made; then the stages of a picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks.bare import Bare, bare_library
from benchmarks.calls import Client, digest_of_png, picture
from benchmarks.figures import median, percentile
from benchmarks.process import sdrest
from benchmarks.results import Result
from benchmarks.rounds import some
from benchmarks.stages import by_stage
from tests.tiny.fixtures import cached

ROUNDS = 60
LOADED_SECONDS = 12.0


async def measure(rounds: int = ROUNDS, loaded_seconds: float = LOADED_SECONDS) -> Result:
    """Run it."""
    result = Result(
        "overhead",
        "What the server adds",
        f"One 64×64 picture in 4 steps on the tiny ERNIE model, {some(rounds)} times through POST /api/v1/generate (the reply holds the "
        "PNG) and through the library's generate_image in a process of its own, in turns, with the same environment and threads.",
    )
    with tempfile.TemporaryDirectory() as name, bare_library(cached("ernie")) as bare:
        async with sdrest(Path(name)) as server, aiohttp.ClientSession() as session:
            client = Client(server, session)
            await _one_picture(result, client, bare, some(rounds))
            await _health_under_load(result, client, session, loaded_seconds)
        result.add_table(
            "Where the time goes: one picture, 64×64, 4 steps, the server in the client's process (ms)",
            ("stage", "median", "p90"),
            await by_stage(bare, some(rounds)),
        )
    return result


async def _one_picture(result: Result, client: Client, bare: Bare, rounds: int) -> None:
    served: list[float] = []
    called: list[float] = []
    equal = 0
    body = picture()
    for number in range(-2, rounds):  # the first two warm both up
        milliseconds, digest = bare.generate(64, 4, 42 + number, body["prompt"])
        started_at = time.perf_counter()
        reply = await client.generate({**body, "seed": 42 + number})
        if number >= 0:
            served.append((time.perf_counter() - started_at) * 1000)
            called.append(milliseconds)
            equal += digest_of_png(reply["images"][0]["data"]) == digest
    added = [a - b for a, b in zip(served, called, strict=True)]
    result.add_table(
        "One picture, 64×64, 4 steps (ms)",
        ("way", "median", "p90", "fastest"),
        [
            (name, f"{median(s):.1f}", f"{percentile(s, 90):.1f}", f"{min(s):.1f}")
            for name, s in (("POST /api/v1/generate", served), ("bare library call", called), ("difference", added))
        ],
        chart=("median",),
    )
    result.add("added by the server, median", f"{median(added):.1f} ms", "< 10 ms", met=median(added) < 10)
    result.add("pictures equal to the bare call's, pixel by pixel", f"{equal} of {rounds}", "all", met=equal == rounds)


async def _health_under_load(result: Result, client: Client, session: aiohttp.ClientSession, seconds: float) -> None:
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    job = await client.submit(picture(512, 40))
    while time.perf_counter() < end:
        started_at = time.perf_counter()
        async with session.get(client.url + "/api/health") as reply:
            await reply.read()
        latencies.append((time.perf_counter() - started_at) * 1000)
        await asyncio.sleep(0.02)
    with contextlib.suppress(RuntimeError):  # on a quick machine it has ended by itself
        await client.cancel(job)
    await client.ended(job)
    p99 = percentile(latencies, 99)
    result.add(
        f"/api/health while a 512×512 picture is made, {len(latencies)} requests: median", f"{median(latencies):.1f} ms"
    )
    result.add("the same, p99", f"{p99:.1f} ms", "< 50 ms", met=p99 < 50)
    result.add("the same, slowest", f"{max(latencies):.1f} ms")


if __name__ == "__main__":
    asyncio.run(measure()).save()
