"""What is accepted survives `kill -9`: a real server process, killed and started again."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.commands import Server, sdrest, serve_tiny
from tests.integration.conftest import SMALL


def client_of(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=None)


def job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/queue/job/{job_id}").json()
    return found


def submitted(client: httpx.Client, **more: Any) -> str:
    return str(client.post("/api/generate/text2img", json={**SMALL, **more}).json()["job_id"])


def ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    while (found := job(client, job_id))["status"] in {"pending", "running"}:
        time.sleep(0.05)
    return found


def stop_engine(server: Server) -> None:
    """Stop the engine's process, so that the job that runs next is a running one for as long as a test needs it."""
    for child in psutil.Process(server.process.pid).children():
        if "sdrest.engine.child" in child.cmdline():
            child.send_signal(signal.SIGSTOP)
            return
    raise AssertionError("the server has no engine")


def until_running(client: httpx.Client, job_id: str) -> None:
    while job(client, job_id)["status"] != "running":
        time.sleep(0.01)


def test_a_killed_server_finishes_what_it_accepted_and_repeats_nothing(tmp_path: Path) -> None:
    with serve_tiny(tmp_path) as server, client_of(server) as client:
        done = client.post("/api/v1/generate", json=SMALL).json()
        stop_engine(server)
        ids = [submitted(client, seed=seed) for seed in range(6)]
        until_running(client, ids[0])
        server.kill()
    with serve_tiny(tmp_path) as server, client_of(server) as client:
        jobs = [ended(client, job_id) for job_id in ids]
        assert [item["status"] for item in jobs] == ["completed"] * 6
        assert jobs[0]["attempt"] == 2
        assert {item["attempt"] for item in jobs[1:]} == {1}
        started = [item["started_at"] for item in jobs]
        assert started == sorted(started)
        assert job(client, done["job_id"])["attempt"] == 1
        assert client.get(f"/api/v1/generate/{done['job_id']}").json()["images"] == done["images"]


def test_sigterm_hands_the_running_job_back_without_counting_the_attempt(tmp_path: Path) -> None:
    with serve_tiny(tmp_path) as server, client_of(server) as client:
        client.post("/api/v1/generate", json=SMALL)
        stop_engine(server)
        job_id = submitted(client)
        until_running(client, job_id)
        assert server.stop() == 0
    with serve_tiny(tmp_path) as server, client_of(server) as client:
        found = ended(client, job_id)
        assert (found["status"], found["attempt"]) == ("completed", 1)


def test_a_second_server_on_the_same_data_folder_is_refused(tmp_path: Path) -> None:
    with serve_tiny(tmp_path):
        second = sdrest("serve", "--port", "0", cwd=tmp_path)
    assert second.returncode == 1
    assert "another server" in second.stderr
