"""Clients that run in processes of their own: each is given the server's address and tells as JSON what came of its requests."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.acceptance.conftest import Server

#: A net under tests that start such processes, each of which reads thousands of files.
PROCESS_SECONDS = 180
#: What they edit.
PICTURE = Image.new("RGB", (80, 48), (200, 30, 30))


def as_base64(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def variables(server: Server) -> dict[str, str]:
    """Their environment."""
    return {**os.environ, "SERVER": server.url, "PICTURE": as_base64(PICTURE), "NO_COLOR": "1"}


def told(server: Server, command: Sequence[str | Path], *, folder: Path | None = None, said: str = "") -> Any:
    """What a client tells."""
    done = subprocess.run(
        command, cwd=folder, input=said, env=variables(server), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # some log before it


def until_cancelled(server: Server) -> None:
    """Wait until the newest job, whose client has given it up, is cancelled."""
    while (status := httpx.get(f"{server.url}/api/queue?limit=1").json()["items"][0]["status"]) != "cancelled":
        assert status in {"pending", "running"}, (
            f"the newest job is {status}: the one to be cancelled never came or went on"
        )
        time.sleep(0.05)
