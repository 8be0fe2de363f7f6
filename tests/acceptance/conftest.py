"""A server as its users start it: `sdrest serve` in a process of its own, with a tiny model."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.generation_modes import place
from tests.tiny.embedded import NAME, place_embedded

ROOT = Path(__file__).parents[2]
#: A picture that takes a tenth of a second.
SMALL: dict[str, Any] = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 7}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; ``url`` ends without a slash."""

    url: str
    folder: Path

    def native_picture(self, **changes: Any) -> bytes:
        """The PNG file that the native route gives for :data:`SMALL`."""
        reply = httpx.post(f"{self.url}/api/v1/generate", json={**SMALL, **changes}, timeout=60)
        assert reply.status_code == 200, reply.text
        url = f"{self.url}/api/v1/jobs/{reply.json()['job_id']}/output/image_0.png"
        return httpx.get(url).content

    def jobs(self) -> dict[str, Any]:
        """The state of the queue."""
        return dict(httpx.get(f"{self.url}/api/queue/status").json())


StartServer = Callable[..., Server]


def _start(folder: Path, *options: str) -> tuple[Server, subprocess.Popen[str]]:
    place_embedded(folder / "models")
    command = [sys.executable, "-m", "sdrest", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    process = subprocess.Popen(
        [*command, "--models-dir", str(folder / "models"), "--log-level", "warning", "--default-model", NAME, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if match := re.search(r"listening on (http\S+)/", line):
            return Server(match[1], folder), process
    raise AssertionError("the server did not start:\n" + "".join(lines))


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests that leave it as they found it; beside the tiny default model it has one that takes pictures."""
    folder = tmp_path_factory.mktemp("server")
    place(folder / "models", "ovis", "tae16", "esrgan")
    server, process = _start(folder)
    yield server
    _stop(process)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of the test's own: ``start_server("--max-pending-jobs", "1")``."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str) -> Server:
        server, process = _start(tmp_path, *options)
        processes.append(process)
        return server

    yield start
    for process in processes:
        _stop(process)
