"""What the pages weigh, how soon they are drawn, and how the gallery copes with 10,000 pictures.

    python benchmarks/ui.py [--outputs 10000]

Starts a server of its own in a temporary folder, puts finished jobs straight into its database, and measures from outside: server
time by repeated requests, weight as the browser receives it (compressed, without pictures), first paint in Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from sdrest.core.job import Job, JobState, JobType, Output
from sdrest.core.parameters import GenerationParameters, to_json
from sdrest.jobs.store import Ending
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sqlite.database import Database
from tests.needs import browser_path

ROOT = Path(__file__).parents[1]
PAGES = (
    "/ui/",
    "/ui/generate/inpaint",
    "/ui/generate/upscale",
    "/ui/queue",
    "/ui/gallery",
    "/ui/models",
    "/ui/system",
)
ROUNDS = 15


async def fill(folder: Path, number: int) -> None:
    """Store ``number`` completed jobs with one picture each; the files themselves are not needed for the page."""
    database = Database(folder / "data" / "sdrest.sqlite3")
    await database.open()
    store = SqlJobStore(database)
    begin = datetime.now(UTC) - timedelta(days=100)
    for index in range(number):
        job = Job(
            id=f"{index:08x}-0000-4000-8000-000000000000",
            type=JobType.TXT2IMG,
            parameters=to_json(GenerationParameters(prompt=f"a picture of the number {index}, oil on canvas")),
            model_id="embedded",
            model_name="embedded",
            created_at=begin + timedelta(minutes=index),
        )
        await store.add(job, max_pending=10)
        claimed = await store.claim([JobType.TXT2IMG], now=job.created_at, lease_seconds=60, worker="benchmark")
        assert claimed is not None
        output = Output(file="image_0.png", media_type="image/png", size_bytes=1, width=64, height=64, seed=index)
        ending = Ending(state=JobState.COMPLETED, finished_at=job.created_at, outputs=(output,), seconds=1.0)
        await store.finish(job.id, claimed.lease_id, ending)
    await database.close()


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sdrest", "serve", "--port", "0", "--log-level", "warning"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if match := re.search(r"listening on (http\S+)/", line):
            return process, match[1]
    raise SystemExit("the server did not start")


def milliseconds(client: httpx.Client, path: str) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        client.get(path).raise_for_status()
        times.append(1000 * (time.perf_counter() - begin))
    return times


def weight(client: httpx.Client, path: str) -> tuple[int, int]:
    """Bytes of a page with its styles and scripts, as sent and as unpacked."""
    sent = unpacked = 0
    page = client.get(path)
    for reply in [page, *(client.get(url) for url in set(re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', page.text)))]:
        unpacked += len(reply.content)
        sent += reply.num_bytes_downloaded
    return sent, unpacked


def first_paint(url: str, paths: tuple[str, ...]) -> dict[str, float]:
    """Milliseconds to the first contentful paint in Chromium, median of three; empty without a browser."""
    executable = browser_path()
    if executable is None:
        return {}
    found = {}
    script = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for path in paths:
            times = []
            for _ in range(3):
                page = browser.new_page()
                page.goto(url + path)
                page.wait_for_timeout(200)
                value = page.evaluate(script)
                if value is not None:
                    times.append(value)
                page.close()
            if times:
                found[path] = statistics.median(times)
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", type=int, default=10_000)
    number = parser.parse_args().outputs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        begin = time.perf_counter()
        asyncio.run(fill(folder, number))
        print(f"{number} finished jobs stored in {time.perf_counter() - begin:.0f} s")
        process, url = start(folder)
        try:
            paints = first_paint(url, PAGES)
            with httpx.Client(base_url=url, timeout=60) as client:
                print(
                    f"{'page':24} {'sent kB':>8} {'unpacked kB':>12} {'median ms':>10} {'worst ms':>9} {'first paint ms':>15}"
                )
                for path in PAGES:
                    sent, unpacked = weight(client, path)
                    times = milliseconds(client, path)
                    paint = f"{paints[path]:.0f}" if path in paints else "-"
                    print(
                        f"{path:24} {sent / 1000:8.1f} {unpacked / 1000:12.1f} {statistics.median(times):10.1f} "
                        f"{max(times):9.1f} {paint:>15}"
                    )
                for label, path in (
                    ("gallery, searched", "/ui/gallery?search=number+4711"),
                    ("gallery, page 100", "/ui/gallery?page=100"),
                ):
                    times = milliseconds(client, path)
                    print(f"{label:24} {'':8} {'':12} {statistics.median(times):10.1f} {max(times):9.1f}")
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
