"""A server under measurement: a process of its own, its readiness, its memory and file descriptors, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import psutil

from benchmarks.machine import ROOT
from tests.tiny.embedded import NAME, place_embedded


class NotReady(RuntimeError):
    """A server did not answer in time, or ended; the message holds the end of its output."""


class ServerProcess:
    """A started server; ``url`` has no slash at its end."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    @classmethod
    def start(
        cls, command: Sequence[str], port: int, log: Path, *, cwd: Path, environment: Mapping[str, str] | None = None
    ) -> Self:
        """Start ``command``, which will listen on ``port``; its output goes to the end of ``log``."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        return cls(process, f"http://127.0.0.1:{port}", log)

    async def ready(self, path: str, timeout_seconds: float = 120) -> float:
        """Wait until a GET of ``path`` answers 200; the time of day then (``time.perf_counter``).

        Raises:
            NotReady: it ended or did not answer in time.
        """
        give_up = time.perf_counter() + timeout_seconds
        async with aiohttp.ClientSession() as session:
            while time.perf_counter() < give_up and self.process.poll() is None:
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(self.url + path) as reply:
                        if reply.status == 200:
                            return time.perf_counter()
                await asyncio.sleep(0.005)
        raise NotReady(self.log.read_text(encoding="utf-8", errors="replace")[-3000:])

    def tree(self) -> list[psutil.Process]:
        """The process and all below it that live."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def memory_mib(self) -> float:
        """Resident memory of the tree."""
        return sum(_quietly(item, lambda p: float(p.memory_info().rss)) for item in self.tree()) / 2**20

    def open_files(self) -> int:
        """File descriptors of the tree."""
        return int(sum(_quietly(item, lambda p: float(p.num_fds())) for item in self.tree()))

    def engine(self) -> psutil.Process | None:
        """sdrest's engine child."""
        for item in self.tree()[1:]:
            with contextlib.suppress(psutil.Error):
                if "sdrest.engine.child" in item.cmdline():
                    return item
        return None

    def kill(self) -> None:
        """SIGKILL to the server alone, and wait for its end."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM; SIGKILL when that does not end it in 15 s."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()


def _quietly(process: psutil.Process, number: Callable[[psutil.Process], float]) -> float:
    try:
        return number(process)
    except psutil.Error:
        return 0.0


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_sdrest(folder: Path, *flags: str, port: int = 0, models: Path | None = None) -> ServerProcess:
    """``sdrest serve`` of this source tree, with its data in ``folder/data``; by default on the tiny ERNIE model."""
    port = port or free_port()
    command = [sys.executable, "-m", "sdrest", "serve", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--data-dir", str(folder / "data"), "--models-dir", str(models or folder / "models")]
    command += ["--log-level", "warning", *flags]
    if models is None:
        place_embedded(folder / "models")
        command += ["--default-model", NAME]
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return ServerProcess.start(
        command,
        port,
        folder / "server.log",
        cwd=folder,
        # What is measured is the making of pictures; a flag for it in ``flags`` goes before this.
        environment={"PYTHONPATH": python_path, "SDREST_REUSE_RESULTS": "false"},
    )


@asynccontextmanager
async def sdrest(folder: Path, *flags: str, models: Path | None = None) -> AsyncIterator[ServerProcess]:
    """A ready sdrest server for the length of the block."""
    server = start_sdrest(folder, *flags, models=models)
    try:
        await server.ready("/api/health")
        yield server
    finally:
        server.stop()
