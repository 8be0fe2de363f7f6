"""What is accepted survives `kill -9`: a real server process, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import SMALL
from tests.tiny.embedded import NAME, place_embedded


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path, *flags: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [sys.executable, "-m", "sdrest", "serve", "--port", str(port), "--data-dir", str(folder / "data")]
    place_embedded(folder / "models")
    command += ["--models-dir", str(folder / "models"), "--default-model", NAME, "--log-level", "error", *flags]
    process = subprocess.Popen(command)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(600):
                try:
                    client.get("/api/health")
                    break
                except httpx.ConnectError:
                    assert process.poll() is None, "the server did not start"
                    time.sleep(0.02)
            yield client, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)


def job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/queue/job/{job_id}").json()
    return found


def wait_for_all(client: httpx.Client, ids: list[str], seconds: float = 90) -> list[dict[str, Any]]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        jobs = [job(client, job_id) for job_id in ids]
        if all(item["status"] not in {"pending", "running"} for item in jobs):
            return jobs
        time.sleep(0.1)
    pytest.fail("the jobs did not end")


def test_a_killed_server_finishes_what_it_accepted_and_repeats_nothing(tmp_path: Path) -> None:
    with server(tmp_path) as (client, process):
        done = client.post("/api/v1/generate", json=SMALL).json()
        long = {**SMALL, "width": 256, "height": 256, "steps": 60}
        ids = [client.post("/api/generate/text2img", json=long).json()["job_id"]]
        ids += [
            client.post("/api/generate/text2img", json={**SMALL, "seed": seed}).json()["job_id"] for seed in range(5)
        ]
        while job(client, ids[0])["progress"]["step"] < 2:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with server(tmp_path) as (client, _process):
        jobs = wait_for_all(client, ids)
        assert [item["status"] for item in jobs] == ["completed"] * 6
        assert jobs[0]["attempt"] == 2
        assert {item["attempt"] for item in jobs[1:]} == {1}
        started = [item["started_at"] for item in jobs]
        assert started == sorted(started)
        assert job(client, done["job_id"])["attempt"] == 1
        assert client.get(f"/api/v1/generate/{done['job_id']}").json()["images"] == done["images"]


def test_sigterm_hands_the_running_job_back_without_counting_the_attempt(tmp_path: Path) -> None:
    with server(tmp_path) as (client, process):
        long = {**SMALL, "width": 256, "height": 256, "steps": 60}
        job_id = client.post("/api/generate/text2img", json=long).json()["job_id"]
        while job(client, job_id)["progress"]["step"] < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    with server(tmp_path) as (client, _process):
        (ended,) = wait_for_all(client, [job_id])
        assert (ended["status"], ended["attempt"]) == ("completed", 1)


def test_a_second_server_on_the_same_data_folder_is_refused(tmp_path: Path) -> None:
    with server(tmp_path):
        command = [sys.executable, "-m", "sdrest", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "another server" in second.stderr
