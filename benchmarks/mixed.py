"""Clients of every dialect at once, for five minutes: whether each gets the pictures that it asked for.

``python -m benchmarks mixed``; ``SDREST_SOAK_SECONDS`` bounds its time.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp

from benchmarks.process import sdrest
from benchmarks.results import Result, say
from benchmarks.rounds import some
from tests.mixed_clients import WAYS, Way, one_picture, openai_edit, wishes
from tests.tiny.build import build

SECONDS = min(some(300), float(os.environ.get("SDREST_SOAK_SECONDS", "300")))


async def measure(seconds: float = SECONDS) -> Result:
    """Run it."""
    ways = (*WAYS, openai_edit)
    result = Result(
        "mixed",
        "Clients of every dialect at once",
        f"{len(ways)} clients for {seconds:.0f} s, each by a way of its own and each asking for one picture after another, no two of which "
        "are alike in prompt, seed, steps and size. What is written in each picture is held against what was asked for.",
    )
    made: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for model, folder in (("ovis", "checkpoints"), ("tae16", "taesd")):
            build(model, Path(name) / "models" / folder)
        async with sdrest(Path(name)) as server, aiohttp.ClientSession(server.url) as session:
            until = time.perf_counter() + seconds

            async def one_client(way: Way) -> None:
                for wish in wishes(way.__name__):
                    if time.perf_counter() > until:
                        return
                    try:
                        await one_picture(session, way, wish)
                        made[way.__name__] += 1
                    except (AssertionError, aiohttp.ClientError, LookupError, ValueError) as error:
                        wrong[way.__name__] += 1
                        say(f"{way.__name__}: {error!r}")

            await asyncio.gather(*map(one_client, ways))
            async with session.get("/api/status") as reply:
                restarts = json.loads(await reply.text())["engine"]["restarts"]
    rows = [(way.__name__.replace("_", " "), made[way.__name__], wrong[way.__name__]) for way in ways]
    result.add_table("Pictures of each client", ("client", "its own", "not its own, or an error"), rows)
    least, total = min(made[way.__name__] for way in ways), sum(made.values())
    result.add("pictures", f"{total:,}; {least:,} of the client with the fewest", "some for each", met=least > 0)
    result.add("pictures of somebody else, and errors", str(sum(wrong.values())), "0", met=not wrong)
    result.add("engine restarts", str(restarts), "0", met=restarts == 0)
    return result
