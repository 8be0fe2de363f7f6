"""A whole server below a path: nothing that it says leads outside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.installed import data_folder
from tests.integration.conftest import SMALL, ClientFactory

BASE = "/tools/sd"
#: Where this server's own addresses begin.
OURS = r"/(?:api|ui|v1|docs|sdapi|sdcpp|ollama|controlnet|internal|mcp|openapi\.json|text-to-image)\b"
#: What a form sends back to the server, which reads its own paths without the base path.
_SENT_BACK = re.compile(r'<input type="hidden" name="(?:back|next)" value="[^"]*">')
_LINKS = re.compile(r'\s(?:href|src)="([^"]*)"')


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    return shared_models


@pytest.fixture
async def client(client_factory: ClientFactory) -> TestClient[Any, Any]:
    return await client_factory(base_path=BASE)


async def picture(client: TestClient[Any, Any]) -> dict[str, Any]:
    """A finished job."""
    reply = await client.post(f"{BASE}/api/v1/generate", json=SMALL)
    assert reply.status == 200, await reply.text()
    return dict(await (await client.get(f"{BASE}/api/jobs/{(await reply.json())['job_id']}")).json())


def texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, names left out."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from texts(item)
        case dict():
            for item in value.values():
                yield from texts(item)
        case _:
            pass


async def test_no_page_leads_outside(client: TestClient[Any, Any]) -> None:
    job = await picture(client)
    group = {"name": "two", "parameters": SMALL, "axes": [{"field": "seed", "values": ["1", "2"]}]}
    assert (await client.post(f"{BASE}/api/groups", json=group)).status == 202
    ways, seen = [f"{BASE}/", f"{BASE}/ui/offline", f"{BASE}/ui/jobs/{job['job_id']}"], set[str]()
    while ways:
        way = ways.pop()
        # One page of each kind: the names, numbers and queries that tell pages of a kind apart are left out.
        kind = re.sub(r"[0-9a-f]{12,}|\bimage_\d+\.\w+", "*", way.partition("?")[0])
        if kind in seen:
            continue
        seen.add(kind)
        reply = await client.get(way)
        assert reply.status < 400, way
        assert reply.url.path.startswith(f"{BASE}/"), way
        if reply.content_type != "text/html":
            continue
        text = _SENT_BACK.sub("", await reply.text())
        assert not re.findall(rf'<[^>]*=["\']{OURS}[^>]*>', text), way
        found = {urljoin(str(reply.url), link.replace("&amp;", "&")).partition("#")[0] for link in _LINKS.findall(text)}
        for url in map(urlsplit, sorted(found)):
            if url.netloc == reply.url.authority:
                ways.append(f"{url.path}?{url.query}" if url.query else url.path)
    assert {f"{BASE}/ui/{page}" for page in ("gallery", "queue", "models", "system", "groups")} <= seen
    assert f"{BASE}/docs" in seen
    assert any("/static/" in way for way in seen)


async def test_no_reply_names_an_address_outside(client: TestClient[Any, Any]) -> None:
    job = await picture(client)
    document = await (await client.get(f"{BASE}/openapi.json")).json()
    assert document["servers"] == [{"url": BASE}]
    model = (await (await client.get(f"{BASE}/api/models")).json())["models"][0]["id"]
    asked = 0
    for path, methods in document["paths"].items():
        way = path.replace("{job_id}", job["job_id"]).replace("{model_id}", model)
        if "get" not in methods or "{" in way or way.endswith(("/ws", "/connect", "/events")):
            continue
        reply = await client.get(BASE + way)
        assert reply.status < 500, way
        if reply.content_type == "application/json" and way != "/openapi.json":
            asked += 1
            wrong = [text for text in texts(await reply.json()) if re.match(OURS, text)]
            assert not wrong, way
    assert asked > 40
    assert job["images"][0]["url"].startswith(f"{BASE}/api/")
    assert (await client.get(job["images"][0]["thumb_url"])).status == 200


async def test_what_is_asked_for_by_posting_names_addresses_below(client: TestClient[Any, Any]) -> None:
    queued = await client.post(f"{BASE}/api/generate/text2img", json=SMALL)
    assert queued.headers["Location"].startswith(f"{BASE}/api/queue/job/")
    links = (await queued.json())["links"]
    async with client.get(links["events"]) as stream:
        told = await stream.text()
    assert f'"{BASE}/api/v1/jobs/' in told
    assert not re.search(rf'"{OURS}', told)
    body = {"prompt": "a red apple", "size": "64x64", "response_format": "url"}
    made = await (await client.post(f"{BASE}/v1/images/generations", json=body)).json()
    assert urlsplit(made["data"][0]["url"]).path.startswith(f"{BASE}/api/")
    assert (await client.get(urlsplit(made["data"][0]["url"]).path)).content_type == "image/png"
    poll = (await (await client.post(f"{BASE}/sdcpp/v1/img_gen", json=SMALL)).json())["poll_url"]
    assert (await client.get(poll)).status == 200
    form = {"prompt": "a red apple", "width": "64", "height": "64"}
    posted = await client.post(f"{BASE}/text-to-image", data=form, allow_redirects=False)
    assert posted.headers["Location"] == (await posted.json())["resultUrl"]
    assert (await client.get(posted.headers["Location"])).status == 200
    refused = await client.post(f"{BASE}/sdapi/v1/txt2img", json={"steps": "many"})
    assert {"detail", "errors"} <= (await refused.json()).keys()  # each dialect keeps the shape of its errors


async def test_who_must_sign_in_comes_back_below(client_factory: ClientFactory, cheap_hashes: None) -> None:
    client = await client_factory(base_path=BASE, auth="jwt")
    page = {"Accept": "text/html"}
    sent = await client.get(f"{BASE}/ui/queue?page=1", headers=page, allow_redirects=False)
    assert sent.headers["Location"] == f"{BASE}/ui/login?next=/ui/queue?page%3D1"
    form = await (await client.get(sent.headers["Location"])).text()
    assert 'name="next" value="/ui/queue?page=1"' in form
    assert (await client.get(f"{BASE}/api/status")).status == 200  # public, as at the root
    assert (await client.get(f"{BASE}/api/jobs")).status == 401


async def test_cookies_are_for_what_lies_below(client: TestClient[Any, Any]) -> None:
    reply = await client.post(f"{BASE}/ui/theme", data={"theme": "dark", "back": "/ui/queue"}, allow_redirects=False)
    assert reply.headers["Location"] == f"{BASE}/ui/queue"
    assert f"Path={BASE}/;" in f"{reply.headers['Set-Cookie']};"
    by_htmx = await client.post(f"{BASE}/ui/queue/pause", headers={"HX-Request": "true"}, data={"do": "pause"})
    assert by_htmx.headers.get("HX-Redirect", f"{BASE}/").startswith(f"{BASE}/")


async def test_what_lies_beside_is_told_where_the_server_is(client: TestClient[Any, Any]) -> None:
    for path in ("/", "/ui/", "/api/health", f"{BASE}x"):
        reply = await client.get(path)
        assert reply.status == 404
        assert f"this server lies below {BASE}/" in await reply.text()
    entered = await client.get(BASE, allow_redirects=False)
    assert entered.headers["Location"] == f"{BASE}/"
    missing = await client.get(f"{BASE}/api/nothing")
    assert (await missing.json())["error"]
    numbers = await (await client.get(f"{BASE}/metrics")).text()
    assert 'route="/api/nothing"' not in numbers
    assert BASE not in numbers


async def test_the_offline_page_and_the_app_lie_below(client: TestClient[Any, Any]) -> None:
    page = await (await client.get(f"{BASE}/ui/")).text()
    found = re.search(r'rel="manifest" href="([^"]*)"', page)
    assert found is not None
    manifest = json.loads(await (await client.get(found[1])).text())
    assert urljoin(found[1], manifest["scope"]) == urljoin(found[1], manifest["start_url"]) == f"{BASE}/ui/"
    assert (await client.get(urljoin(found[1], "../../service_worker.js"))).status == 200


def test_scripts_ask_where_an_address_is() -> None:
    for file in sorted(data_folder("static").iterdir()):
        if file.suffix in {".js", ".mjs"} and file.name != "htmx.min.js":
            wrong = re.findall(rf'(?<!\bat\()["\'`]{OURS}[^"\'`]*', file.read_text(encoding="utf-8"))
            assert not [text for text in wrong if not text.endswith("/static/")], f"{file.name}: use sdrest.at(…)"
