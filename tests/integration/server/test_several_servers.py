"""Two ``sdrest serve`` on one PostgreSQL: whatever is asked of one is as good at the other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.commands import Server, sdrest, serve_tiny
from tests.integration.conftest import SMALL
from tests.needs import needs
from tests.postgres import PostgresServer

pytestmark = [needs("postgres"), pytest.mark.timeout(180)]  # two servers start


@dataclass
class Two:
    """The servers, and a token that the first one gave."""

    servers: list[Server]
    options: list[tuple[str, ...]]
    clients: list[httpx.Client]


@pytest.fixture(scope="module")
def two(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    url = postgres.new_database()
    shared = ("--database", url, "--auth", "jwt", "--output", str(folder / "output"), "--spool", str(folder / "spool"))
    folders = [folder / "a", folder / "b"]
    for own in folders:
        own.mkdir()
    made = sdrest("user", "add", "ann", "--role", "admin", "--database", url, cwd=folder, said="a long password\n" * 2)
    assert made.returncode == 0, made.stderr
    with serve_tiny(folders[0], *shared) as first, serve_tiny(folders[1], *shared) as second:
        login = {"username": "ann", "password": "a long password"}
        token = httpx.post(f"{first.url}/api/auth/login", json=login, timeout=None).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        clients = [httpx.Client(base_url=item.url, headers=headers, timeout=None) for item in (first, second)]
        yield Two([first, second], [shared, shared], clients)
        for client in clients:
            client.close()


def events_of(client: httpx.Client, job_id: str, found: list[tuple[str, Any]]) -> None:
    """All events of a job until it ends, as (name, data)."""
    with client.stream("GET", f"/api/jobs/{job_id}/events") as stream:
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))


@pytest.mark.parametrize("at", [0, 1])
def test_a_job_is_followed_at_both_and_cancelled_at_the_other(two: Two, at: int) -> None:
    job_id = (
        two.clients[at].post("/api/generate/text2img", json={**SMALL, "steps": 150, "batch_count": 8}).json()["job_id"]
    )
    heard: list[list[tuple[str, Any]]] = [[], []]
    listeners = [
        threading.Thread(target=events_of, args=(client, job_id, found))
        for client, found in zip(two.clients, heard, strict=True)
    ]
    for thread in listeners:
        thread.start()
    while not all(any(name == "progress" for name, _ in found) for found in heard):
        assert all(thread.is_alive() for thread in listeners), heard
        time.sleep(0.02)
    assert two.clients[1 - at].post("/api/queue/cancel", json={"job_id": job_id}).status_code == 200
    for thread in listeners:
        thread.join()
    assert [found[-1][1]["status"] for found in heard] == ["cancelled", "cancelled"]


def test_a_picture_that_one_has_made_is_served_by_both(two: Two) -> None:
    job = two.clients[0].post("/api/v1/generate", json=SMALL).json()
    path = f"/api/jobs/{job['job_id']}/output/image_0.png"
    pictures = [client.get(path).content for client in two.clients]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")


def test_a_pause_and_a_logout_count_at_both(two: Two) -> None:
    two.clients[0].post("/api/queue/pause")
    try:
        assert two.clients[1].get("/api/queue/status").json()["paused"] is True
    finally:
        two.clients[1].post("/api/queue/resume")
    assert two.clients[0].get("/api/queue/status").json()["paused"] is False


def test_a_server_with_other_folders_is_refused_with_what_is_wrong(two: Two, tmp_path: Path) -> None:
    url = two.options[0][1]
    done = sdrest("serve", "--port", "0", "--database", url, cwd=tmp_path)
    assert done.returncode != 0
    assert "same --output and the same --spool" in done.stderr
    assert "Traceback" not in done.stderr
