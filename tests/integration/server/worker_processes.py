"""A server that makes no pictures itself, and ``sdrest worker`` beside it, each a process of its own."""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.commands import SDREST, Server, environment, sdrest, serve_tiny
from tests.integration.conftest import SMALL


class WorkerProcess:
    """``sdrest worker`` in a folder of its own, where its models come to lie; ``through`` is the command that starts it."""

    def __init__(self, folder: Path, url: str, *options: str, through: Sequence[str] = ()) -> None:
        self.folder = folder
        folder.mkdir()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [*through, *SDREST, "worker", "--connect", url, "--name", folder.name, *options],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    @property
    def log(self) -> str:
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode()

    def end(self) -> None:
        """Harmless when it has ended."""
        self.process.kill()
        self.process.wait()
        self._log.close()


class Cluster:
    """A server that makes no pictures itself, and workers."""

    def __init__(self, folder: Path, server: Server, client: httpx.Client, token: Path) -> None:
        self.folder, self.server, self.client, self.token = folder, server, client, token
        self.workers: list[WorkerProcess] = []

    def start(self, name: str, *options: str, url: str = "", through: Sequence[str] = ()) -> WorkerProcess:
        """A worker, which may not be connected yet; ``url`` is where it finds the server, if not where everybody does."""
        given = ("--token-file", str(self.token), *options)
        worker = WorkerProcess(self.folder / name, url or self.server.url, *given, through=through)
        self.workers.append(worker)
        return worker

    def asking(self) -> tuple[str, ...]:
        """The options by which commands ask the server."""
        return ("--url", self.server.url, "--api-key", self.client.headers["Authorization"].removeprefix("Bearer "))

    def seen(self) -> dict[str, dict[str, Any]]:
        """The workers as the server lists them, by name."""
        return {item["name"]: item for item in self.client.get("/api/workers").json()["workers"]}

    def until_there(self, *names: str) -> None:
        while not set(names) <= self.seen().keys():
            assert all(worker.process.poll() is None for worker in self.workers), [item.log for item in self.workers]
            time.sleep(0.05)

    def until_there_alone(self, worker: WorkerProcess) -> None:
        while worker.folder.name not in self.seen():
            assert worker.process.poll() is None, worker.log
            time.sleep(0.05)

    def job(self, **more: Any) -> str:
        job_id: str = self.client.post("/api/generate/text2img", json={**SMALL, **more}).json()["job_id"]
        return job_id

    def worker_of(self, job_id: str) -> str:
        """Who carries out a job, once somebody does."""
        while True:
            for name, item in self.seen().items():
                if any(engine["job_id"] == job_id for engine in item["engines"]):
                    return name
            found = self.client.get(f"/api/queue/job/{job_id}").json()
            assert found["status"] in {"pending", "running"}, found
            time.sleep(0.005)

    def ended(self, job_id: str) -> dict[str, Any]:
        while True:
            found: dict[str, Any] = self.client.get(f"/api/queue/job/{job_id}").json()
            if found["status"] not in {"pending", "running"}:
                return found
            time.sleep(0.02)


@contextmanager
def worker_cluster(folder: Path, *options: str, trusted: Path | None = None) -> Iterator[Cluster]:
    """A server with ``options`` that knows an administrator and workers; ``trusted`` is its certificate, if it has one."""
    own = folder / "server"
    own.mkdir()
    keys = {}
    for name, scope in (("admin", "admin"), ("gpu", "work")):
        made = sdrest("token", "create", name, "--scope", scope, cwd=own)
        assert made.returncode == 0, made.stderr
        keys[name] = next(word for word in made.stdout.split() if word.startswith("sdr"))
    token = folder / "token"
    token.write_text(keys["gpu"])
    with serve_tiny(own, "--no-work", "--auth", "api-key", "--worker-grace-seconds", "0", *options) as server:
        headers = {"Authorization": f"Bearer {keys['admin']}"}
        verify = ssl.create_default_context(cafile=trusted) if trusted else True
        with httpx.Client(base_url=server.url, headers=headers, timeout=None, verify=verify) as client:
            cluster = Cluster(folder, server, client, token)
            yield cluster
            for worker in cluster.workers:
                worker.end()
