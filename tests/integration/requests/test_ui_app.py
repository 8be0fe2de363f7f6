"""What makes the pages an app: the theme, the manifest, and the page for when the server is out of reach."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from aiohttp.test_utils import TestClient

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def test_the_theme_goes_round_is_kept_and_leads_back_without_scripts(client: Client) -> None:
    for wanted in ("light", "dark", "auto"):
        text = await (await client.get("/ui/queue?search=x")).text()
        offered = re.search(r'name="back" value="([^"]*)"><button class="icon-button" name="theme" value="(\w+)"', text)
        assert offered
        assert offered[2] == wanted
        reply = await client.post("/ui/theme", data={"theme": offered[2], "back": offered[1]}, allow_redirects=False)
        assert (reply.status, reply.headers["Location"]) == (303, "/ui/queue?search=x")
        assert f'data-theme="{wanted}"' in await (await client.get("/ui/models")).text()
    assert (await client.post("/ui/theme", data={"theme": "pink"})).status == 400
    away = await client.post("/ui/theme", data={"theme": "dark", "back": "//evil.example"}, allow_redirects=False)
    assert away.headers["Location"] == "/ui/"


async def test_the_language_is_the_browsers_until_another_is_chosen(client: Client) -> None:
    german = {"Accept-Language": "de-DE,de;q=0.9,en;q=0.5"}
    reply = await client.get("/ui/queue", headers=german)
    assert reply.headers["Content-Language"] == "de"
    assert {"Accept-Language", "Cookie"} <= set(reply.headers["Vary"].split(", "))
    assert '<html lang="de"' in await reply.text()
    assert (await client.get("/ui/nowhere", headers=german)).headers["Content-Language"] == "de"
    chosen = {"language": "ja", "back": "/ui/queue?search=x"}
    reply = await client.post("/ui/language", data=chosen, headers=german, allow_redirects=False)
    assert (reply.status, reply.headers["Location"]) == (303, "/ui/queue?search=x")
    text = await (await client.get("/ui/queue", headers=german)).text()
    assert '<html lang="ja"' in text
    assert re.search(r'value="ja" lang="ja" aria-pressed="true"', text)
    await client.post("/ui/language", data={"language": ""})
    assert '<html lang="de"' in await (await client.get("/ui/queue", headers=german)).text()
    # Errors of the API stay English, and so do pages for those who ask for nothing else.
    assert "Content-Language" not in (await client.get("/api/jobs/none", headers=german)).headers
    assert '<html lang="en"' in await (await client.get("/ui/queue")).text()
    assert (await client.post("/ui/language", data={"language": "tlh"})).status == 400


async def test_what_the_manifest_names_is_there(client: Client) -> None:
    page = await (await client.get("/ui/queue")).text()
    address = re.search(r'rel="manifest" href="([^"]+)"', page)
    assert address
    reply = await client.get(address[1])
    assert reply.content_type == "application/manifest+json"
    manifest = json.loads(await reply.text())
    assert urljoin(address[1], manifest["start_url"]) == urljoin(address[1], manifest["scope"]) == "/ui/"
    for icon in manifest["icons"]:
        found = await client.get(urljoin(address[1], icon["src"]))
        assert (found.status, found.content_type) == (200, icon["type"])


async def test_the_worker_may_fetch_from_here_and_changes_with_the_files(client: Client) -> None:
    reply = await client.get("/ui/service_worker.js")
    assert reply.headers["Content-Security-Policy"] == "default-src 'none'; connect-src 'self'"
    assert reply.headers["Cache-Control"] == "no-cache"
    text, page = await reply.text(), await (await client.get("/ui/offline")).text()
    version = re.match(r'const version = "(\w+)";\n', text)
    assert version
    assert f"/ui/static/{version[1]}/sdrest.css" in page
