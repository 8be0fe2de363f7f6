"""A server is killed while a worker on another machine makes a picture for it: another server goes on with the same attempt."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.commands import serve_tiny
from tests.integration.conftest import SMALL
from tests.integration.server.worker_processes import WorkerProcess
from tests.needs import needs

pytestmark = [needs("postgres"), pytest.mark.slow, pytest.mark.timeout(240)]  # three processes load the native library


def test_a_picture_is_finished_by_its_first_attempt_when_its_server_is_killed(
    postgres_url: str, tmp_path: Path
) -> None:
    shared = ("--no-work", "--database", postgres_url, "--output", str(tmp_path / "o"), "--spool", str(tmp_path / "s"))
    folders = [tmp_path / name for name in ("east", "west")]
    for folder in folders:
        folder.mkdir()
    with serve_tiny(folders[0], *shared) as east, serve_tiny(folders[1], *shared) as west:
        worker = WorkerProcess(tmp_path / "worker", east.url, "--connect", west.url)
        try:
            with httpx.Client(base_url=west.url, timeout=None) as client:

                def job() -> dict[str, Any]:
                    found: dict[str, Any] = client.get(f"/api/queue/job/{job_id}").json()
                    assert found["status"] != "failed", found
                    return found

                job_id = client.post("/api/generate/text2img", json={**SMALL, "steps": 400, "batch_count": 2}).json()[
                    "job_id"
                ]
                while job()["progress"]["step"] == 0:
                    assert worker.process.poll() is None, worker.log
                    time.sleep(0.02)
                east.kill()
                while (done := job())["status"] != "completed":
                    assert worker.process.poll() is None, worker.log
                    time.sleep(0.05)
                assert (done["attempt"], len(done["outputs"])) == (1, 2)
                assert client.get(f"/api/jobs/{job_id}/output/image_1.png").content.startswith(b"\x89PNG")
                (seen,) = client.get("/api/workers").json()["workers"]
                assert seen["name"] == "worker"
        finally:
            worker.end()
