"""How long the server takes for pages of the Gallery, by the number of pictures: ``python -m benchmarks.gallery [PICTURES]``.

The pictures are laid into the database as copies of one, with every tenth a favourite. What keeps this so is held by
``tests/unit/storage/test_plans.py``: an index gives each page in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.calls import Client, picture
from benchmarks.figures import median
from benchmarks.process import start_sdrest
from benchmarks.scale import copy_job

_ROUNDS: Final = 15
_PAGES: Final = {
    "first page": "/ui/gallery",
    "page in the middle": "/ui/gallery?older={middle}",
    "favourites": "/ui/gallery?favourite=1",
    "a word that all have": "/ui/gallery?search=a",
    "a word that none has": "/ui/gallery?search=rhubarb",
    "API, first page": "/api/gallery",
    "bin": "/ui/gallery/bin",
}


async def measure(pictures: int) -> list[tuple[str, float, float]]:
    """Median and longest time of each page in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = start_sdrest(folder)
        await server.ready("/api/health")
        async with aiohttp.ClientSession() as session:
            job = (await Client(server, session).generate(picture()))["job_id"]
        server.stop()
        database = folder / "data" / "sdrest.sqlite3"
        copy_job(database, job, pictures - 1)
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(
                "INSERT INTO marks SELECT sequence, 'image_0.png', 'favourite', '', principal FROM jobs WHERE sequence % 10 = 0"
            )
        server = start_sdrest(folder)
        try:
            await server.ready("/api/health")
            async with aiohttp.ClientSession(server.url) as session:
                return [
                    (page, *await _times(session, path.format(middle=pictures // 2))) for page, path in _PAGES.items()
                ]
        finally:
            server.stop()


async def _times(session: aiohttp.ClientSession, path: str) -> tuple[float, float]:
    times = []
    for _ in range(_ROUNDS):
        started_at = time.perf_counter()
        async with session.get(path) as reply:
            await reply.read()
            assert reply.status == 200
        times.append((time.perf_counter() - started_at) * 1000)
    return median(times), max(times)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{number:,} pictures: ms, median and longest of {_ROUNDS}")
    for title, usual, longest in asyncio.run(measure(number)):
        print(f"{title:24} {usual:8.1f} {longest:8.1f}")
