"""The running command: restart on the same socket, TLS, older spellings of options, stop by signal."""

from __future__ import annotations

import signal
import ssl
import time
from pathlib import Path

import httpx
import pytest

from tests.commands import Server, sdrest, serve_tiny
from tests.integration.conftest import SMALL


@pytest.mark.slow
def test_a_restart_keeps_the_socket_the_process_id_and_the_running_job(tmp_path: Path) -> None:
    with serve_tiny(tmp_path) as server:
        with httpx.Client(base_url=server.url, timeout=None) as client:
            job = client.post("/api/generate/text2img", json={**SMALL, "steps": 100}).json()["job_id"]
            while client.get(f"/api/queue/job/{job}").json()["progress"]["stage"] != "sample":
                time.sleep(0.02)
            assert client.post("/api/system/restart").json() == {"status": "restarting"}
        server.wait_for("restarting")
        # The new server may not be there yet: the connection waits in the socket's queue instead of being refused.
        with httpx.Client(base_url=server.url, timeout=None) as client:
            found = client.get(f"/api/queue/job/{job}").json()
            assert server.wait_for("sdrest is listening on ").endswith(server.url + "/")
            while found["status"] in {"pending", "running"}:
                time.sleep(0.05)
                found = client.get(f"/api/queue/job/{job}").json()
            assert (found["status"], found["attempt"]) == ("completed", 1), found
        assert server.stop() == 0


@pytest.mark.slow
def test_tls_and_the_older_spellings_of_options(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    cert, key = certificate
    with Server(
        tmp_path, "--cert", str(cert), "--key", str(key), "--concurrency", "2", "--cors", "true",
        "--delete-incomplete", "false", "--output", "./pictures", "--repository", "./stable-diffusion", "--no-log-json",
    ) as server:  # fmt: skip
        assert server.url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(cert))
        reply = httpx.get(f"{server.url}/api/version", verify=trusted, headers={"Origin": "https://example.org"})
        assert reply.status_code == 200
        reply = httpx.post(f"{server.url}/api/v1/generate", json=SMALL, verify=trusted, timeout=None)
        assert (tmp_path / "pictures" / reply.json()["job_id"] / "image_0.png").is_file()
        assert server.stop(signal.SIGINT) == 0  # Ctrl-C, although the command was started without it
        assert "--repository has no meaning here" in server.log
        assert "one at a time" in server.log


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
    done = sdrest("serve", "--port", "0", *options, cwd=tmp_path)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
