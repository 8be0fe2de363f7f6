"""Servers on one PostgreSQL and workers without engines, as processes that can be killed, stopped, cut off and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.machine import ROOT
from benchmarks.process import ServerProcess, free_port, start_sdrest
from tests.postgres import PostgresServer

#: Moves the clock of a process by so many seconds.
_CLOCK: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, now);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += atol(getenv("CLOCK_SHIFT"));
    return failed;
}
"""


def shifted_clock(folder: Path, seconds: int) -> dict[str, str]:
    """Variables of a process whose clock is wrong."""
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_CLOCK, encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(seconds)}


class Wire:
    """A TCP connection's way, which can be cut: what is under way is held, as it is in a partition, until it is whole again."""

    def __init__(self, target: int | str) -> None:
        self._target = target
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End all that goes over it."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Let nothing through."""
        self._whole.clear()

    def mend(self) -> None:
        """Let everything through."""
        self._whole.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._whole.wait()
            if isinstance(self._target, str):
                ahead, back = await asyncio.open_unix_connection(self._target)
            else:
                ahead, back = await asyncio.open_connection("127.0.0.1", self._target)
            pumps = [asyncio.create_task(self._pump(*pair)) for pair in ((reader, back), (ahead, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                back.close()
        except (OSError, asyncio.CancelledError):  # broken at one end, or the wire is taken away
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()


class Front:
    """One of the servers, at the same port whenever it is started again."""

    def __init__(self, folder: Path, shared: Path, database: str, variables: dict[str, str]) -> None:
        folder.mkdir()
        self._folder, self._shared, self._database, self._variables = folder, shared, database, variables
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it; it may not answer yet."""
        flags = (
            *("--no-work", "--max-attempts", "10", "--min-free-bytes", "0", "--max-pending-jobs", "100000"),
            *("--database", self._database, "--output", str(self._shared / "output")),
            *("--spool", str(self._shared / "spool")),
        )
        before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)
        try:
            self.process: ServerProcess = start_sdrest(self._folder, *flags, port=self.port)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    @property
    def url(self) -> str:
        """Its address."""
        return self.process.url

    async def ready(self) -> None:
        """Wait until it answers."""
        await self.process.ready("/api/health")


class PacedWorker:
    """A worker, started again with the same name; its way to each server can be cut."""

    def __init__(self, folder: Path, seconds: float) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._seconds = seconds
        self.wires: list[Wire] = []
        self.process: subprocess.Popen[bytes] | None = None

    async def open(self, ports: list[int]) -> None:
        """Lay the wires, and start."""
        self.wires = [Wire(port) for port in ports]
        for wire in self.wires:
            await wire.open()
        self.start()

    @property
    def urls(self) -> list[str]:
        """The ways to the servers."""
        return [f"http://127.0.0.1:{wire.port}" for wire in self.wires]

    def command(self) -> list[str]:
        """What starts it."""
        return [
            *(sys.executable, "-m", "tests.paced_worker", *self.urls, "--name", self.folder.name),
            *("--folder", str(self.folder), "--seconds", str(self._seconds)),
        ]

    def start(self) -> None:
        """Start the process."""
        command = self.command()
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def close(self) -> None:
        """End it."""
        self.kill()
        for wire in self.wires:
            await wire.close()


class LibraryWorker(PacedWorker):
    """One with an engine: a job takes as long as it takes."""

    def command(self) -> list[str]:
        """What starts it."""
        return [
            *(sys.executable, "-m", "sdrest", "worker", "--name", self.folder.name),
            *(word for url in self.urls for word in ("--connect", url)),
            *("--data-dir", str(self.folder / "data"), "--models-dir", str(self.folder / "models")),
            *("--threads", "1"),
        ]


class Cluster:
    """All of it. ``shared`` are the folders that the servers share."""

    def __init__(self, folder: Path, postgres: PostgresServer, database: str, addresses: Sequence[str]) -> None:
        """``addresses``: of the database, one for each server: their ways there may be different ones."""
        self.folder = folder
        self._addresses = addresses
        self.shared = folder / "shared"
        self.shared.mkdir(exist_ok=True)
        self.postgres = postgres
        self.database = database
        self.fronts: list[Front] = []
        self.workers: list[PacedWorker] = []

    async def begin(self, *, workers: Sequence[type[PacedWorker]], seconds: float, shift_seconds: int = 0) -> None:
        """Start everything; the clock of the last server may be wrong."""
        for number, address in enumerate(self._addresses):
            is_shifted = shift_seconds and number == len(self._addresses) - 1
            variables = shifted_clock(self.folder, shift_seconds) if is_shifted else {}
            self.fronts.append(Front(self.folder / f"front-{number}", self.shared, address, variables))
        for front in self.fronts:
            await front.ready()
        ports = [front.port for front in self.fronts]
        for number, kind in enumerate(workers):
            worker = kind(self.folder / f"worker-{number}", seconds)
            self.workers.append(worker)
            turn = number % len(ports)
            await worker.open(ports[turn:] + ports[:turn])

    async def end(self) -> None:
        """Stop everything."""
        for worker in self.workers:
            await worker.close()
        for front in self.fronts:
            front.process.stop()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="sdrest-cluster-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        server = PostgresServer(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@asynccontextmanager
async def cluster(
    folder: Path, postgres: PostgresServer, database: str, *, addresses: Sequence[str], **what: Any
) -> AsyncIterator[Cluster]:
    """A cluster for the length of the block; see :meth:`Cluster.begin`."""
    found = Cluster(folder, postgres, database, addresses)
    try:
        await found.begin(**what)
        yield found
    finally:
        await found.end()
