"""Servers, workers and PostgreSQL that are killed, stopped, cut off and out of disk: every job ends once, with the right pictures.

``python -m benchmarks.cluster_faults``; ``SDREST_CLUSTER_FAULTS`` sets how often each kill is done. As root on Linux, for the small disks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

import aiohttp
from PIL import Image

from benchmarks.calls import picture
from benchmarks.cluster import Cluster, LibraryWorker, PacedWorker, Wire, cluster, postgres_server
from benchmarks.results import Result, say
from sdrest.jobs.store import LEASE_SECONDS
from tests.faults.conftest import fill
from tests.paced_worker import is_picture_of

FAULTS: Final = int(os.environ.get("SDREST_CLUSTER_FAULTS", "100"))
_WORKERS: Final = (*[PacedWorker] * 8, *[LibraryWorker] * 2)
_JOB_SECONDS: Final = 1.5
_LONG_SECONDS: Final = LEASE_SECONDS + 6
_SHIFT_SECONDS: Final = 3600
_DISK_MIB: Final = 24
_DRAIN_SECONDS: Final = 300
_SEED: Final = 20260902
#: What a job may fail of here.
_EXPECTED: Final = frozenset({"insufficient_storage"})

_NOTES: Final = """
    CREATE TABLE benchmark_endings (job_id text);
    CREATE TABLE benchmark_leases (lease_id text, job_id text);
    CREATE FUNCTION benchmark_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL THEN
            INSERT INTO benchmark_endings VALUES (NEW.id);
        END IF;
        IF NEW.lease_id <> OLD.lease_id THEN
            INSERT INTO benchmark_leases VALUES (NEW.lease_id, NEW.id);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER benchmark_noted AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION benchmark_note();
"""


class Fault(StrEnum):
    """What is done."""

    WORKER_KILL = "worker killed"
    FRONT_KILL = "server killed"
    DATABASE_KILL = "PostgreSQL killed"
    WORKER_STOP = "worker stands still for longer than a lease (SIGSTOP, SIGCONT)"
    FRONT_STOP = "server stands still for longer than a lease (SIGSTOP, SIGCONT)"
    WORKER_CUT = "worker cut off from all servers, shorter or longer than a lease"
    MOVE = "worker cut off from the server that it is connected to"
    DATABASE_CUT = "server cut off from PostgreSQL, shorter or longer than a lease"
    WORKER_DISK = "worker's disk full for a while"
    FRONT_DISK = "servers' disk full for a while"


#: How many of each there are to a hundred kills.
_SHARES: Final = {
    Fault.WORKER_KILL: 100,
    Fault.FRONT_KILL: 100,
    Fault.DATABASE_KILL: 100,
    Fault.WORKER_STOP: 10,
    Fault.FRONT_STOP: 10,
    Fault.WORKER_CUT: 20,
    Fault.MOVE: 50,
    Fault.DATABASE_CUT: 20,
    Fault.WORKER_DISK: 10,
    Fault.FRONT_DISK: 10,
}


class Site:
    """The cluster, and what is done to it; what takes long goes on beside the rest."""

    def __init__(self, found: Cluster, wire: Wire, chance: random.Random) -> None:
        self._cluster = found
        self._wire = wire
        self._chance = chance
        self._lasting: set[asyncio.Task[None]] = set()
        #: Whatever is being done something to that lasts: nothing else is done to it.
        self._busy: set[str] = set()

    async def suffer(self, fault: Fault) -> bool:
        """Have it done; whether that was possible."""
        found, chance = self._cluster, self._chance
        worker = chance.choice(found.workers)
        number = chance.randrange(len(found.fronts))
        front = found.fronts[number]
        match fault:
            case Fault.WORKER_KILL if worker.folder.name not in self._busy:
                worker.kill()
                worker.start()
            case Fault.FRONT_KILL if f"front-{number}" not in self._busy:
                front.process.kill()
                front.start()
                await front.ready()
            case Fault.DATABASE_KILL:
                await asyncio.to_thread(found.postgres.stop)
                await asyncio.to_thread(found.postgres.start)
            case Fault.WORKER_STOP if worker.folder.name not in self._busy:
                self._last(worker.folder.name, self._stand_still(worker))
            case Fault.FRONT_STOP if not self._busy & {"front-0", "front-1"}:
                process = front.process.process
                self._last(f"front-{number}", self._hold(process))
            case Fault.WORKER_CUT if worker.folder.name not in self._busy:
                self._last(worker.folder.name, self._cut(worker.wires))
            case Fault.MOVE if worker.folder.name not in self._busy:
                wire = chance.choice(worker.wires)
                self._last(worker.folder.name, self._cut([wire], seconds=20))
            case Fault.DATABASE_CUT if not self._busy & {"front-0", "front-1"}:
                self._last("front-0", self._cut([self._wire]))
            case Fault.WORKER_DISK:
                await self._fill(found.folder / "worker-0")
            case Fault.FRONT_DISK:
                await self._fill(found.shared)
            case _:
                return False
        return True

    def _last(self, whom: str, work: object) -> None:
        async def last() -> None:
            self._busy.add(whom)
            try:
                await work  # type: ignore[misc]
            finally:
                self._busy.discard(whom)

        task = asyncio.create_task(last())
        self._lasting.add(task)
        task.add_done_callback(self._lasting.discard)

    async def settle(self) -> None:
        """Wait until all that lasts is over."""
        await asyncio.gather(*self._lasting)

    async def _stand_still(self, worker: PacedWorker) -> None:
        assert worker.process is not None
        await self._hold(worker.process)

    async def _hold(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(_LONG_SECONDS)
        process.send_signal(signal.SIGCONT)

    async def _cut(self, wires: list[Wire], seconds: float = 0.0) -> None:
        for wire in wires:
            wire.cut()
        await asyncio.sleep(seconds or self._chance.choice((4.0, _LONG_SECONDS)))
        for wire in wires:
            wire.mend()

    async def _fill(self, folder: Path) -> None:
        ballast = await asyncio.to_thread(fill, folder)
        await asyncio.sleep(2.0)
        ballast.unlink()


async def measure(faults: int = FAULTS) -> Result:
    """Run it."""
    chance = random.Random(_SEED)
    kinds = [fault for fault, share in _SHARES.items() for _ in range(-(-share * faults // 100))]
    chance.shuffle(kinds)
    result = Result(
        "cluster_faults",
        "Faults in a cluster",
        f"Two servers on one PostgreSQL, the clock of one of them an hour ahead, and 8 workers without engines (a job takes "
        f"{_JOB_SECONDS} s; its pictures are made of job and lease) and 2 with the library, all processes, each worker with a way to both servers that can be cut. "
        "Killed and started again (SIGKILL), stopped, cut off and out of disk in random order, half a second to two seconds apart, while "
        "jobs are submitted all the time (every tenth is cancelled, every third has two pictures). Then the queue is left to drain. The "
        "database itself notes endings and leases.",
    )
    done: Counter[Fault] = Counter()
    with tempfile.TemporaryDirectory(prefix="sdrest-cluster-", dir="/tmp") as name, postgres_server() as postgres:
        folder = Path(name)
        with _small_disk(folder / "shared"), _small_disk(folder / "worker-0"):
            database = postgres.new_database()
            wire = Wire(str(database.partition("?host=")[2] + "/.s.PGSQL.5432"))
            await wire.open()
            cut = database.partition("?")[0].replace("@/", f"@127.0.0.1:{wire.port}/")
            async with cluster(
                folder,
                postgres,
                database,
                addresses=[cut, database],
                workers=_WORKERS,
                seconds=_JOB_SECONDS,
                shift_seconds=_SHIFT_SECONDS,
            ) as found:
                await asyncio.to_thread(found.query, _NOTES)
                site = Site(found, wire, chance)
                async with _load(found, chance) as accepted:
                    began_at = time.monotonic()
                    for number, fault in enumerate(kinds, 1):
                        await asyncio.sleep(chance.uniform(0.5, 2.0))
                        done[fault] += await site.suffer(fault)
                        if number % 20 == 0:
                            say(
                                f"{number} of {len(kinds)} faults, {len(accepted)} jobs, {time.monotonic() - began_at:.0f} s"
                            )
                    await site.settle()
                stuck = await _drained(found)
                await asyncio.to_thread(_report, result, found, accepted, stuck)
            await wire.close()
    result.add_table("What was done", ("fault", "times"), [(str(fault), done[fault]) for fault in Fault])
    return result


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)


@asynccontextmanager
async def _load(found: Cluster, chance: random.Random) -> AsyncIterator[list[str]]:
    """Submit jobs; the ids of those that were accepted."""
    accepted: list[str] = []

    async def submit() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            while True:
                body = picture(seed=len(accepted), batch_count=2 if len(accepted) % 3 == 0 else 1)
                job_id = await _until_accepted(session, found, body, chance)
                accepted.append(job_id)
                if len(accepted) % 10 == 0:
                    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                        url = f"{chance.choice(found.fronts).url}/api/queue/cancel"
                        await session.post(url, json={"job_id": job_id})
                await asyncio.sleep(_JOB_SECONDS / len(_WORKERS))

    task = asyncio.create_task(submit())
    try:
        yield accepted
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until_accepted(
    session: aiohttp.ClientSession, found: Cluster, body: dict[str, object], chance: random.Random
) -> str:
    headers = {"Idempotency-Key": uuid.uuid4().hex}  # so that it can be asked again
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            url = f"{chance.choice(found.fronts).url}/api/generate/text2img"
            async with session.post(url, json=body, headers=headers) as reply:
                if reply.status == 202:
                    return str((await reply.json())["job_id"])
        await asyncio.sleep(0.2)


async def _drained(found: Cluster) -> int:
    """Wait for the end of all jobs; how many have none."""
    statement = "SELECT count(*) FROM jobs WHERE finished_at IS NULL"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while (await asyncio.to_thread(found.query, statement))[0][0]:
                await asyncio.sleep(0.5)
    return int((await asyncio.to_thread(found.query, statement))[0][0])


def _report(result: Result, found: Cluster, accepted: list[str], stuck: int) -> None:
    jobs = found.query("SELECT id, state, lease_id, outputs::json, failure::json, parameters::json FROM jobs")
    ended = Counter(row[0] for row in found.query("SELECT job_id FROM benchmark_endings"))
    leases = Counter(row[0] for row in found.query("SELECT lease_id FROM benchmark_leases"))
    begun = Counter(row[0] for row in found.query("SELECT job_id FROM benchmark_leases"))
    states = Counter(row[1] for row in jobs)
    lost = {*accepted} - {row[0] for row in jobs}
    odd = [row for row in jobs if row[1] == "failed" and row[4]["slug"] not in _EXPECTED]
    wrong = [row for row in jobs if row[1] == "completed" and not _is_right(found, row[0], row[2], row[3], row[5])]
    for row in odd:
        say(f"{row}")
    given = found.query("SELECT job_id, lease_id FROM benchmark_leases")
    for job_id, _, lease_id, outputs, _, parameters in wrong:
        say(f"{job_id} under {lease_id}, batch {parameters.get('batch_count', 1)}: {outputs}")
        known = [lease for of, lease in given if of == job_id]
        for file in sorted((found.shared / "output" / job_id).rglob("*")):
            whose = [lease for lease in known if file.is_file() and is_picture_of(file, job_id, lease)]
            say(f"  {file}: {whose or 'under none'} of {known}")
    result.add("jobs accepted", str(len(accepted)))
    result.add("lost", str(len(lost)), "0", met=not lost)
    result.add("without an end", str(stuck), "0", met=stuck == 0)
    twice = sum(number > 1 for number in ended.values())
    result.add("ended more than once", str(twice), "0", met=twice == 0)
    result.add("pictures of another lease than the one that won, or missing", str(len(wrong)), "0", met=not wrong)
    double = sum(number > 1 for number in leases.values())
    result.add("leases given twice", str(double), "0", met=double == 0)
    result.add("failed for a reason that the faults do not explain", str(len(odd)), "0", met=not odd)
    gone = sum(worker.process is not None and worker.process.poll() is not None for worker in found.workers)
    result.add("workers that ended by themselves", str(gone), "0", met=gone == 0)
    result.add("begun more than once", str(sum(number > 1 for number in begun.values())))
    result.add(
        "completed / cancelled / failed",
        " / ".join(str(states[state]) for state in ("completed", "cancelled", "failed")),
    )


def _is_right(
    found: Cluster, job_id: str, lease_id: str, outputs: list[dict[str, object]], parameters: dict[str, object]
) -> bool:
    folder = found.shared / "output" / job_id
    names = sorted(str(output["file"]) for output in outputs)
    there = sorted(file.name for file in folder.iterdir()) if folder.exists() else []
    if names != there or len(names) != parameters.get("batch_count", 1):
        return False
    return all(
        is_picture_of(folder / name, job_id, lease_id) or _is_librarys(folder / name, parameters) for name in names
    )


def _is_librarys(file: Path, parameters: dict[str, object]) -> bool:
    """Whether a picture is what a worker with an engine makes of a job's parameters."""
    with Image.open(file) as image:
        number = int(file.stem.removeprefix("image_"))
        written = image.info.get("parameters", "")
        return image.size == (64, 64) and f"Seed: {int(str(parameters['seed'])) + number}," in written


if __name__ == "__main__":
    asyncio.run(measure()).save()
