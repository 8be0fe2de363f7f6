"""The running command: restart on the same socket, TLS, older spellings of options, stop by signal."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.commands import WITHOUT_INTERRUPTS
from tests.integration.conftest import SMALL
from tests.tiny.embedded import NAME, place_embedded

ROOT = Path(__file__).parents[2]


class Server:
    """``sdrest serve`` in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [*WITHOUT_INTERRUPTS, sys.executable, "-m", "sdrest", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.log: list[str] = []
        self.url = self.wait_for("sdrest is listening on ").removeprefix("sdrest is listening on ").rstrip("/")

    def wait_for(self, words: str) -> str:
        """The first line of the log from here on that holds ``words``."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if words in line:
                return line.strip()
        raise AssertionError("".join(self.log))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=30)
        self.log.append(rest)
        return self.process.returncode


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*options: str) -> Server:
        servers.append(Server(tmp_path, *options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate()


def test_a_restart_keeps_the_socket_the_process_id_and_the_running_job(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    place_embedded(tmp_path / "models")
    server = serve("--default-model", NAME)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        job = client.post("/api/generate/text2img", json={**SMALL, "steps": 200}).json()["job_id"]
        while client.get(f"/api/queue/job/{job}").json()["progress"]["stage"] != "sample":
            time.sleep(0.02)
        assert client.post("/api/system/restart").json() == {"status": "restarting"}
    server.wait_for("restarting")
    # The new server may not be there yet: the connection waits in the socket's queue instead of being refused.
    with httpx.Client(base_url=server.url, timeout=60) as client:
        found = client.get(f"/api/queue/job/{job}").json()
        assert server.wait_for("sdrest is listening on ").endswith(server.url + "/")
        while found["status"] in {"pending", "running"}:
            time.sleep(0.05)
            found = client.get(f"/api/queue/job/{job}").json()
        assert (found["status"], found["attempt"]) == ("completed", 1), found
    assert server.stop() == 0


def test_tls_and_the_older_spellings_of_options(
    serve: Callable[..., Server], certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, key = certificate
    server = serve(
        "--cert", str(cert), "--key", str(key), "--concurrency", "2", "--cors", "true", "--delete-incomplete", "false",
        "--output", "./pictures", "--repository", "./stable-diffusion", "--no-log-json",
    )  # fmt: skip
    assert server.url.startswith("https://")
    trusted = ssl.create_default_context(cafile=str(cert))
    reply = httpx.get(f"{server.url}/api/version", verify=trusted, headers={"Origin": "https://example.org"})
    assert reply.status_code == 200
    reply = httpx.post(f"{server.url}/api/v1/generate", json=SMALL, verify=trusted, timeout=60)
    assert (tmp_path / "pictures" / reply.json()["job_id"] / "image_0.png").is_file()
    assert server.stop(signal.SIGINT) == 0  # Ctrl-C, although the command was started without it
    text = "".join(server.log)
    assert "--repository has no meaning here" in text
    assert "one at a time" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cert", "cert.pem"], "go together"),
        (["--cert", "nothing.pem", "--key", "nothing.pem"], "cannot be used"),
        (["--port", "70000"], "port"),
    ],
)
def test_settings_that_cannot_work_end_the_command_with_a_sentence(
    options: list[str], words: str, tmp_path: Path
) -> None:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "sdrest", "serve", "--port", "0", *options]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
