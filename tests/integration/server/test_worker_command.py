"""``sdrest serve --no-work`` and ``sdrest worker`` as processes: models are fetched, workers are killed and drained."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.commands import SDREST, Server, environment, sdrest, serve_tiny
from tests.integration.conftest import SMALL
from tests.tiny.embedded import NAME

pytestmark = pytest.mark.timeout(240)  # processes start, each of which loads the native library


class WorkerProcess:
    """``sdrest worker`` in a folder of its own, where its models come to lie."""

    def __init__(self, folder: Path, url: str, *options: str) -> None:
        self.folder = folder
        folder.mkdir()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [*SDREST, "worker", "--connect", url, "--name", folder.name, *options],
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

    def start(self, name: str, *options: str) -> WorkerProcess:
        """A worker, which may not be connected yet."""
        worker = WorkerProcess(self.folder / name, self.server.url, "--token-file", str(self.token), *options)
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    own = folder / "server"
    own.mkdir()
    keys = {}
    for name, scope in (("admin", "admin"), ("gpu", "work")):
        made = sdrest("token", "create", name, "--scope", scope, cwd=own)
        assert made.returncode == 0, made.stderr
        keys[name] = next(word for word in made.stdout.split() if word.startswith("sdr"))
    token = folder / "token"
    token.write_text(keys["gpu"])
    with serve_tiny(own, "--no-work", "--auth", "api-key", "--worker-grace-seconds", "0") as server:
        headers = {"Authorization": f"Bearer {keys['admin']}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=None) as client:
            cluster = Cluster(folder, server, client, token)
            yield cluster
            for worker in cluster.workers:
                worker.end()


def test_a_worker_gets_the_model_and_makes_the_picture_and_another_goes_on_when_it_is_killed(cluster: Cluster) -> None:
    cluster.start("first")
    cluster.start("second")
    cluster.until_there("first", "second")
    done = cluster.ended(cluster.job())
    assert done["status"] == "completed", done
    picture = cluster.client.get(f"/api/jobs/{done['job_id']}/output/image_0.png").content
    assert picture.startswith(b"\x89PNG")
    fetched = [worker for worker in cluster.workers if [*worker.folder.glob(f"models/*/*{NAME}*")]]
    assert fetched

    job_id = cluster.job(steps=150, batch_count=4)
    at_work = cluster.worker_of(job_id)
    next(worker for worker in cluster.workers if worker.folder.name == at_work).process.kill()
    done = cluster.ended(job_id)
    assert (done["status"], done["attempt"], len(done["outputs"])) == ("completed", 2, 4), done
    assert at_work not in cluster.seen()

    (left,) = cluster.seen()
    shown = sdrest("workers", "list", *cluster.asking(), cwd=cluster.folder)
    assert left in shown.stdout, shown.stderr
    metrics = cluster.client.get("/metrics").text
    assert f'sdrest_workers_connected{{worker="{left}"}} 1.0' in metrics
    job_id = cluster.job(steps=400)
    assert cluster.worker_of(job_id) == left
    worker = next(worker for worker in cluster.workers if worker.folder.name == left)
    worker.process.send_signal(signal.SIGTERM)  # it finishes what it is making
    assert cluster.ended(job_id)["status"] == "completed"
    assert worker.process.wait() == 0
    assert "the worker has ended" in worker.log


def test_a_worker_that_the_server_does_not_want_says_so(cluster: Cluster, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("sdrest_nothing")
    done = sdrest("worker", "--connect", cluster.server.url, "--token-file", str(wrong), cwd=tmp_path)
    assert done.returncode != 0
    assert "401" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_with_nothing_to_do_ends_by_itself(cluster: Cluster) -> None:
    worker = cluster.start("idle", "--idle-exit", "0.1")
    assert worker.process.wait() == 0


def test_a_worker_is_drained_by_command(cluster: Cluster) -> None:
    worker = cluster.start("drained")
    cluster.until_there_alone(worker)
    done = sdrest("workers", "drain", "drained", *cluster.asking(), cwd=cluster.folder)
    assert done.stdout == "drained leaves\n", done.stderr
    assert worker.process.wait() == 0
    done = sdrest("workers", "drain", "nobody", *cluster.asking(), cwd=cluster.folder)
    assert "no worker 'nobody'" in done.stderr
