"""Log lines of a running server: one form, with the ids of request and job, and without what people write."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.commands import Server
from tests.integration.conftest import SMALL


def test_lines_carry_ids_and_no_prompts(tmp_path: Path) -> None:
    prompt = "a secret garden nobody may know of"
    with Server(tmp_path, "--log-json", "--log-level", "debug") as server:
        reply = httpx.post(f"{server.url}/api/v1/generate", json={**SMALL, "prompt": prompt}, timeout=None)
        job_id, request_id = reply.json()["job_id"], reply.headers["X-Request-Id"]
        assert server.stop() == 0
    text = server.log
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    (accepted,) = (line for line in lines if line["event"] == "job accepted")
    assert (accepted["job_id"], accepted["request_id"]) == (job_id, request_id)
    (ended,) = (line for line in lines if line["event"] == "job ended")
    assert (ended["job_id"], ended["state"]) == (job_id, "completed")
    assert prompt not in text
