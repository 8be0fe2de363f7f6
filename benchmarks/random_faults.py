"""Faults at random under mixed load: no accepted job may be lost, done twice or stuck.

``python -m benchmarks.random_faults``; as root on Linux, for the small disk that is filled. About ten minutes on two cores.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import random
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import aiohttp
from PIL import Image

from benchmarks.calls import Client, picture
from benchmarks.durability import count_endings, endings
from benchmarks.process import ServerProcess, free_port, start_sdrest
from benchmarks.results import Result, say
from tests.faults.conftest import fill
from tests.tiny.embedded import NAME

FAULTS: Final = 20
_SEED: Final = 20260401
_DISK_MIB: Final = 96
_FULL_SECONDS: Final = 2.0
_HANG_SECONDS: Final = 5.0
_WAITING: Final = 20
_DRAIN_SECONDS: Final = 300
#: What a job may fail of here: two attempts under which the engine was killed or stopped, and a disk without room for its files.
_EXPECTED: Final = frozenset({"engine_died", "insufficient_storage"})


class Fault(StrEnum):
    """What is done to the server."""

    SERVER_KILL = "server killed"
    CHILD_KILL = "engine process killed"
    FULL_DISK = "disk full for a while"
    CHILD_STOP = "engine process stopped (SIGSTOP)"


class Site:
    """One server on a small disk of its own, started again whenever it was killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._port = free_port()
        self.server = self._start()

    def _start(self) -> ServerProcess:
        flags = ("--min-free-bytes", "0", "--engine-hang-seconds", str(_HANG_SECONDS))
        return start_sdrest(self.folder, *flags, port=self._port)

    async def ready(self) -> None:
        await self.server.ready("/api/health")

    async def suffer(self, fault: Fault, chance: random.Random) -> None:
        """Have it done, and wait until the server is itself again."""
        match fault:
            case Fault.SERVER_KILL:
                self.server.kill()
                self.server = self._start()
            case Fault.CHILD_KILL:
                self._signal(chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]))
            case Fault.FULL_DISK:
                ballast = await asyncio.to_thread(fill, self.data)
                await asyncio.sleep(_FULL_SECONDS)
                ballast.unlink()
            case Fault.CHILD_STOP:
                self._signal(signal.SIGSTOP)
        await self.ready()

    def _signal(self, number: signal.Signals) -> None:
        engine = self.server.engine()
        if engine is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine.pid, number)


async def measure(faults: int = FAULTS) -> Result:
    """Run it."""
    kinds = [fault for fault in Fault for _ in range(faults)]
    chance = random.Random(_SEED)
    chance.shuffle(kinds)
    result = Result(
        "random_faults",
        "Random faults under mixed load",
        f"{faults} times each, in random order and 1 to 6 s apart: the server gets SIGKILL and is started again; the engine process gets "
        f"SIGKILL, SIGSEGV or SIGABRT; the disk of the data folder is full for {_FULL_SECONDS:.0f} s; the engine process gets SIGSTOP and is "
        f"found out after {_HANG_SECONDS:.0f} s of silence. Meanwhile {_WAITING} jobs wait at any time: pictures, batches, image to image, "
        "conversions; every seventh is cancelled. Then the queue is left to drain. The database itself notes every ending.",
    )
    with tempfile.TemporaryDirectory() as name, _small_disk(Path(name) / "data"):
        site = Site(Path(name))
        try:
            await site.ready()
            count_endings(site.data / "sdrest.sqlite3")
            async with _load(site) as accepted:
                for number, fault in enumerate(kinds, 1):
                    await asyncio.sleep(chance.uniform(1, 6))
                    await site.suffer(fault, chance)
                    if number % 10 == 0:
                        say(f"{number} faults, {len(accepted)} jobs")
            jobs, stuck = await _drained(site, accepted)
        finally:
            site.server.stop()
        _report(result, accepted, jobs, stuck, endings(site.data / "sdrest.sqlite3"), site.data / "output")
    result.add_table("What was done to it", ("fault", "times"), [(str(fault), faults) for fault in Fault])
    return result


def _report(
    result: Result,
    accepted: list[str],
    jobs: dict[str, dict[str, Any]],
    stuck: int,
    ended: Counter[str],
    output: Path,
) -> None:
    states = Counter(job["status"] for job in jobs.values())
    lost = [job_id for job_id in accepted if job_id not in jobs]
    doubled = [job_id for job_id, number in ended.items() if number > 1]
    odd = [job for job in jobs.values() if job["status"] == "failed" and job["failure"]["slug"] not in _EXPECTED]
    wrong = [job for job in jobs.values() if job["status"] == "completed" and not _is_whole(job, output)]
    for job in (*odd, *wrong):
        say(f"{job['job_id']} {job['type']}: {job['status']}, outputs {job['outputs']}: {job.get('failure')}")
    result.add("jobs accepted", str(len(accepted)))
    result.add("lost", str(len(lost)), "0", met=not lost)
    result.add("ended more than once", str(len(doubled)), "0", met=not doubled)
    result.add("stuck", str(stuck), "0", met=stuck == 0)
    result.add("completed without exactly the files asked for", str(len(wrong)), "0", met=not wrong)
    result.add("failed for a reason that the faults do not explain", str(len(odd)), "0", met=not odd)
    result.add(
        "completed / cancelled / failed", " / ".join(str(states[s]) for s in ("completed", "cancelled", "failed"))
    )


def _is_whole(job: dict[str, Any], output: Path) -> bool:
    wanted = 0 if job["type"] == "convert" else job["params"].get("batch_count", 1)
    return len(job["outputs"]) == wanted and all((output / job["job_id"] / file).is_file() for file in job["outputs"])


@asynccontextmanager
async def _load(site: Site) -> AsyncIterator[list[str]]:
    """Mixed jobs for the length of the block; gives the ids of those that the server has accepted."""
    accepted: list[str] = []
    task = asyncio.create_task(_submit(site, accepted))
    try:
        yield accepted
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _submit(site: Site, accepted: list[str]) -> None:
    bodies = _bodies(random.Random(_SEED + 1))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        while True:
            client = Client(site.server, session)
            # The server is away, its disk is full: a client comes again.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, RuntimeError):
                queue = (await client.get("/api/status"))["queue"]
                if queue["pending_count"] < _WAITING:
                    path, body = next(bodies)
                    accepted.append(str((await client.post(path, body))["job_id"]))
                    if len(accepted) % 7 == 0:
                        await client.cancel(accepted[-1])
                    continue
            await asyncio.sleep(0.1)


def _bodies(chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests without end."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((64, 64)).save(buffer, "PNG")
    init = base64.b64encode(buffer.getvalue()).decode()
    seed = 0
    while True:
        seed += 1
        size = chance.choice([64, 128, 256])
        yield (
            chance.choices(
                [
                    ("/api/generate/text2img", picture(size, chance.randint(2, 12), seed)),
                    ("/api/generate/text2img", picture(64, 4, seed, batch_count=3)),
                    ("/api/generate/img2img", picture(64, 4, seed, init_image=init)),
                    ("/api/models/convert", _conversion(seed)),
                ],
                [6, 2, 2, 1],
            )[0]
        )


def _conversion(number: int) -> dict[str, Any]:
    return {"model_name": NAME, "quantization_type": "q8_0", "output_path": f"converted-{number}.gguf"}


async def _drained(site: Site, accepted: list[str]) -> tuple[dict[str, dict[str, Any]], int]:
    """The jobs by id after all have ended, and how many never did."""
    async with aiohttp.ClientSession() as session:
        client = Client(site.server, session)
        left = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while left := (await client.get("/api/status"))["queue"]["queue_length"]:
                    await asyncio.sleep(0.5)
        jobs = {}
        for job_id in accepted:
            async with session.get(f"{site.server.url}/api/queue/job/{job_id}") as reply:
                if reply.status == 200:
                    jobs[job_id] = await reply.json()
        return jobs, left


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


if __name__ == "__main__":
    asyncio.run(measure()).save()
