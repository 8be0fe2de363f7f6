"""Lighthouse's marks: 100 for accessibility, best practices and search engines on every page; performance is told, not judged.

How fast a page is depends on the machine and on what else it does; what is sent is bounded by ``test_ui_quality``.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import sync_playwright

from tests.acceptance.conftest import SMALL, Server
from tests.acceptance.pages.test_ui_pages import PAGES
from tests.needs import LIGHTHOUSE, browser_path, needs

pytestmark = [needs("browser", "lighthouse"), pytest.mark.nightly]

#: Pages of one job, picture, model …, by what stands for them in their address.
DETAILS = {
    "job": "/ui/jobs/{job}",
    "picture": "/ui/gallery/{job}/image_0.png",
    "model": "/ui/models/{model}",
    "groups": "/ui/groups",
    "new group": "/ui/groups/new",
    "use": "/ui/system/use",
    "accounts": "/ui/system/accounts",
    "group of the API": "/docs/queue",
}
JUDGED = ("accessibility", "best-practices", "seo")


@pytest.fixture(scope="module")
def names(server: Server) -> dict[str, str]:
    """A job with a picture, and a model."""
    job = httpx.post(f"{server.url}/api/v1/generate", json=SMALL, timeout=60).json()["job_id"]
    model = httpx.get(f"{server.url}/api/models").json()["models"][0]["id"]
    return {"job": job, "model": model}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where Lighthouse finds a browser."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", f"--remote-debugging-port={free}"]
        browser = playwright.chromium.launch(executable_path=browser_path(), args=flags)
        yield free
        browser.close()


def report(url: str, port: int, *options: str) -> dict[str, Any]:
    """What Lighthouse finds on a page."""
    command = ["node", str(LIGHTHOUSE), url, f"--port={port}", "--output=json", "--output-path=stdout", "--quiet"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def failures(found: dict[str, Any]) -> dict[str, list[str]]:
    """The audits that cost a mark, by category."""
    audits = found["audits"]
    return {
        name: [
            f"{item['id']}: {json.dumps(audits[item['id']].get('details', {}).get('items', []))[:500]}"
            for item in found["categories"][name]["auditRefs"]
            if item["weight"] and audits[item["id"]]["score"] not in {1, None}
        ]
        for name in JUDGED
        if found["categories"][name]["score"] < 1
    }


@pytest.mark.parametrize("form", ["mobile", "desktop"])
@pytest.mark.parametrize("name", [*(name for name in PAGES if name != "missing"), *DETAILS])
def test_a_page_has_full_marks(
    name: str, form: str, server: Server, names: dict[str, str], port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    address = {**PAGES, **DETAILS}[name].format(**names)
    found = report(f"{server.url}{address}", port, *(["--preset=desktop"] if form == "desktop" else []))
    with capsys.disabled():
        print(f"\n{name}, {form}: performance {found['categories']['performance']['score'] * 100:.0f}")
    assert failures(found) == {}
