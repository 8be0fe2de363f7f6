"""The pages over HTTP, as a browser without scripts uses them, and what protects them."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]

FORM = {"prompt": "a red apple", "width": "64", "height": "64", "steps": "2", "seed": "7"}
PAGES = (
    "/ui/",
    "/ui/generate/img2img",
    "/ui/generate/inpaint",
    "/ui/generate/upscale",
    "/ui/queue",
    "/ui/gallery",
    "/ui/models",
    "/ui/system",
)
#: The largest page that is still pleasant on a slow line, in bytes as sent, with its scripts and styles, without pictures.
MAX_PAGE_BYTES = 62_000


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def test_a_form_becomes_the_same_job_as_the_api_makes(client: Client) -> None:
    reply = await client.post("/ui/generate/txt2img", data=FORM, allow_redirects=False)
    assert reply.status == 303
    job_id = reply.headers["Location"].rpartition("/")[2]
    native = await (await client.post("/api/v1/generate", json=SMALL)).json()
    ours = await (await client.get(f"/api/v1/generate/{job_id}")).json()
    assert ours["images"][0]["data"] == native["images"][0]["data"]


async def test_a_form_with_mistakes_comes_back_as_it_was_with_each_one_named(client: Client) -> None:
    form = {**FORM, "prompt": "", "width": "100", "steps": "many"}
    reply = await client.post("/ui/generate/txt2img", data=form)
    text = await reply.text()
    assert reply.status == 400
    assert re.search(r'id="f-prompt-error">say what the picture should show', text)
    assert re.search(r'id="f-steps-error">[^<]*integer', text)
    assert 'value="100"' in text


async def test_an_unknown_lora_is_told_where_loras_are_chosen(client: Client) -> None:
    form = {**FORM, "lora_name": "nothing_like_it", "lora_multiplier": "1"}
    reply = await client.post("/ui/generate/txt2img", data=form, headers={"HX-Request": "true"})
    assert reply.status == 400
    assert "nothing_like_it" in await reply.text()


async def test_a_page_of_another_site_cannot_post(client: Client) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://example.org"}):
        reply = await client.post("/ui/generate/txt2img", data=FORM, headers=headers, allow_redirects=False)
        assert reply.status == 403
    assert (await (await client.get("/api/queue/status")).json())["total_count"] == 0


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_no_inline_script_or_style_and_is_light(client: Client, path: str) -> None:
    reply = await client.get(path)
    text = await reply.text()
    assert reply.status == 200
    assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]* src=)|\sstyle=|\son\w+=|<style", text)
    files = re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', text)
    weight = len(gzip.compress(text.encode()))
    for file in files:
        static = await client.get(file)
        assert static.status == 200
        assert "immutable" in static.headers["Cache-Control"]
        weight += len(gzip.compress(await static.read()))
    assert weight < MAX_PAGE_BYTES


async def test_an_unknown_page_says_so_as_a_page(client: Client) -> None:
    reply = await client.get("/ui/jobs/none")
    assert reply.status == 404
    assert "There is nothing here" in await reply.text()


async def test_text_from_users_is_never_markup(client: Client) -> None:
    reply = await client.post("/ui/generate/txt2img", data={**FORM, "prompt": "<script>alert(1)</script>"})
    text = await reply.text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


async def test_signing_in_leads_to_the_wanted_page_and_out_again(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    from sdrest.core.principal import Role
    from sdrest.web.http.keys import ACCESS

    server: Any = client.server
    await server.app[ACCESS].directory.add("ann", "correct horse battery", Role.USER)
    asked = await client.get("/ui/queue", headers={"Accept": "text/html"}, allow_redirects=False)
    assert asked.headers["Location"] == "/ui/login?next=/ui/queue"
    wrong = await client.post("/ui/login", data={"username": "ann", "password": "wrong"})
    assert wrong.status == 401
    assert 'value="ann"' in await wrong.text()
    form = {"username": "ann", "password": "correct horse battery", "next": "/ui/queue"}
    right = await client.post("/ui/login", data=form, allow_redirects=False)
    assert right.headers["Location"] == "/ui/queue"
    page = await client.get("/ui/queue", headers={"Accept": "text/html"})
    assert "Signed in as ann" in await page.text()
    await client.post("/ui/logout", allow_redirects=False)
    gone = await client.get("/ui/queue", headers={"Accept": "text/html"}, allow_redirects=False)
    assert gone.status == 303


@pytest.mark.parametrize(
    "target", ["https://example.org/", "//example.org", "/ui//example.org", "/ui/\\example.org", ""]
)
async def test_signing_in_never_leads_to_another_site(target: str) -> None:
    from sdrest.web.ui.login import local_target

    assert local_target(target) == "/ui/"


@pytest.mark.parametrize("page", ["0", "9" * 20, "9" * 5000, "-1", "²", "x"])
@pytest.mark.parametrize("path", ["/ui/queue", "/ui/gallery", "/ui/models"])
async def test_a_page_that_there_cannot_be_is_the_first(client: Client, path: str, page: str) -> None:
    assert (await client.get(path, params={"page": page})).status == 200
