"""The inspector of the Model Context Protocol in its command-line mode, against a running server."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.acceptance.clients.other_clients import PICTURE, PROCESS_SECONDS, as_base64, decoded, until_cancelled
from tests.acceptance.conftest import SMALL, Server
from tests.needs import JAVASCRIPT, needs

pytestmark = [needs("node", "javascript"), pytest.mark.timeout(PROCESS_SECONDS)]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Where it keeps its notes."""
    return {**os.environ, "HOME": str(tmp_path)}


def asking(server: Server, method: str, *more: str) -> list[str]:
    command = [str(JAVASCRIPT / "node_modules" / ".bin" / "mcp-inspector"), "--cli", f"{server.url}/mcp"]
    return [*command, "--method", method, *more]


def calling(server: Server, tool: str, **arguments: object) -> list[str]:
    pairs = [f"{name}={value}" for name, value in arguments.items()]
    return asking(server, "tools/call", "--tool-name", tool, "--tool-arg", *pairs)


def told(command: list[str], home: dict[str, str]) -> dict[str, object]:
    done = subprocess.run(command, env=home, capture_output=True, text=True, check=False)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_it_lists_and_reads(server: Server, home: dict[str, str]) -> None:
    listed = told(asking(server, "tools/list"), home)
    assert {"generate_image", "edit_image"} <= {tool["name"] for tool in listed["tools"]}  # type: ignore[attr-defined]
    assert "embedded" in str(told(asking(server, "resources/read", "--uri", "sdrest://models"), home))


def test_it_generates_and_edits(server: Server, home: dict[str, str]) -> None:
    made = told(calling(server, "generate_image", **SMALL), home)
    assert base64.b64decode(made["content"][0]["data"]) == server.native_picture()  # type: ignore[index]
    edit = {"prompt": "p", "image": as_base64(PICTURE), "model": "ovis", "steps": 2, "strength": 0.5}
    edited = told(calling(server, "edit_image", **edit), home)
    assert decoded(edited["content"][0]["data"]).size == PICTURE.size  # type: ignore[index]


def test_it_shows_errors_and_leaves_no_job_behind(server: Server, home: dict[str, str]) -> None:
    wrong = told(calling(server, "generate_image", **SMALL | {"steps": 0}), home)
    assert wrong["isError"]
    assert "steps: input should be greater than or equal to 1" in str(wrong)
    slow = calling(server, "generate_image", **SMALL | {"steps": 1000, "width": 256, "height": 256})
    with subprocess.Popen(slow, env=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not httpx.get(f"{server.url}/api/queue/status").json()["running_count"]:
            time.sleep(0.05)
        process.kill()
    until_cancelled(server)
