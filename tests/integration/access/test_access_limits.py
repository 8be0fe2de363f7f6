"""Guests, owners, cookies, signed addresses and limits, over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from sdrest.auth.setup import build_access
from sdrest.core.principal import Role
from sdrest.storage.sql.accounts import SqlAccountStore
from sdrest.storage.sqlite.database import Database
from sdrest.web.http.auth import authenticate, log_in_browser, log_out_browser
from sdrest.web.http.errors import Problems
from sdrest.web.http.keys import ACCESS, PRINCIPAL, SETTINGS
from sdrest.web.requests.results import public_output_url
from tests.integration.access.test_authentication import PASSWORD, access, add_user, basic, bearer, key_of, log_in
from tests.integration.conftest import SMALL, ClientFactory, SettingsFactory

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.fixture(autouse=True)
def hashes(cheap_hashes: None) -> None:
    """As for the other logins."""


@pytest.fixture
def audited() -> Iterator[list[MutableMapping[str, Any]]]:
    """The audit lines written during the test."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with structlog.testing.capture_logs() as lines:
        yield lines
    structlog.configure(wrapper_class=before)


async def submit(client: Client, headers: dict[str, str], **changes: Any) -> str:
    reply = await client.post("/api/generate/text2img", json={**SMALL, **changes}, headers=headers)
    assert reply.status == 202, await reply.text()
    job_id: str = (await reply.json())["job_id"]
    return job_id


async def finished(client: Client, job_id: str, headers: dict[str, str]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            job: dict[str, Any] = await (await client.get(f"/api/queue/job/{job_id}", headers=headers)).json()
            if job["status"] in {"completed", "failed", "cancelled"}:
                return job
            await asyncio.sleep(0.1)


async def test_owners_see_their_own_jobs_and_admins_all(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="optional")
    await add_user(client, "root", Role.ADMIN)
    await add_user(client, "ann")
    admin, ann = [bearer((await log_in(client, name))["token"]) for name in ("root", "ann")]
    guest: dict[str, str] = {}
    jobs = {"ann": await submit(client, ann), "guest": await submit(client, guest)}
    for headers, seen in ((admin, {"ann", "guest"}), (ann, {"ann"}), (guest, {"guest"})):
        for owner, job_id in jobs.items():
            assert (await client.get(f"/api/queue/job/{job_id}", headers=headers)).status == (
                200 if owner in seen else 404
            )
    hidden = await client.post("/api/queue/cancel", json={"job_id": jobs["ann"]})
    assert hidden.status == 404
    job = await finished(client, jobs["ann"], ann)
    picture = job["images"][0]["url"]
    for headers, status in ((admin, 200), (ann, 200), (guest, 404)):
        assert (await client.get(picture, headers=headers)).status == status


async def test_guests_are_held_to_their_limits(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="optional", guest_max_pending=1, guest_max_steps=3, guest_max_pixels=64 * 64)
    me = await (await client.get("/api/auth/me")).json()
    assert me["role"] == "guest"
    assert "127.0.0.1" not in me["username"]
    for change, field in (({"steps": 4}, "steps"), ({"width": 128}, "width")):
        reply = await client.post("/api/generate/text2img", json={**SMALL, **change})
        assert reply.status == 403
        assert [error["field"] for error in (await reply.json())["details"]["errors"]] == [field]
    assert (await client.get("/api/users")).status == 403
    assert (await client.post("/api/generate/text2img", json={**SMALL, "priority": 1})).status == 403
    statuses = [(await client.post("/api/generate/text2img", json=SMALL)).status for _ in range(6)]
    assert statuses[0] == 202
    assert 429 in statuses


async def test_bad_credentials_are_not_a_guests(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="optional")
    assert (await client.get("/api/auth/me", headers=bearer("wrong"))).status == 401
    assert (await client.get("/api/auth/me", cookies={"sdrest_session": "old"})).status == 200


async def test_one_user_may_have_so_many_jobs_pending(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="api-key", max_pending_jobs_per_user=1)
    admin = bearer(await key_of(client, "admin", "admin"))
    await client.post("/api/queue/pause", headers=admin)
    ann, bob = [bearer(await key_of(client, name)) for name in ("ann", "bob")]
    await submit(client, ann)
    full = await client.post("/api/generate/text2img", json=SMALL, headers=ann)
    assert full.status == 429
    assert "Retry-After" in full.headers
    await submit(client, bob)
    for _ in range(3):
        await submit(client, admin)


async def test_one_user_may_make_so_many_requests_a_minute(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="api-key", rate_limit_per_minute=5)
    ann, bob = [bearer(await key_of(client, name)) for name in ("ann", "bob")]
    statuses = [(await client.post("/api/queue/clear", headers=ann)).status for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    limited = await client.post("/api/queue/clear", headers=ann)
    assert int(limited.headers["Retry-After"]) >= 1
    assert (await client.get("/api/queue/status", headers=ann)).status == 200
    assert (await client.post("/api/queue/clear", headers=bob)).status == 200


async def test_a_signed_address_opens_one_output_without_credentials(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="api-key")
    ann = bearer(await key_of(client, "ann"))
    job = await finished(client, await submit(client, ann), ann)
    plain = job["images"][0]["url"]
    assert (await client.get(plain)).status == 401
    assert client.app is not None
    request = make_mocked_request("GET", "/", app=client.app)
    signed = public_output_url(request, job["job_id"], job["images"][0]["filename"])
    picture = await client.get(signed)
    assert picture.status == 200
    assert (await picture.read()).startswith(b"\x89PNG")
    assert (await client.get(signed + "&thumb=1")).content_type == "image/jpeg"
    query = urlsplit(signed).query
    assert {name for name, _ in parse_qsl(query)} == {"expires", "signature"}
    assert (await client.get(f"/api/queue/job/{job['job_id']}?{query}")).status == 401
    assert (await client.get(plain.replace("/output/", "x/output/") + f"?{query}")).status == 401
    assert (await client.get(signed.replace("expires=1", "expires=2"))).status == 401


async def test_pictures_of_the_openai_dialect_can_be_fetched_without_the_key(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="api-key")
    body = {"prompt": "x", "size": "64x64", "steps": 1, "response_format": "url"}
    assert (await client.post("/v1/images/generations", json=body)).status == 401
    reply = await client.post("/v1/images/generations", json=body, headers=bearer(await key_of(client)))
    assert reply.status == 200, await reply.text()
    address = urlsplit((await reply.json())["data"][0]["url"])
    assert (await client.get(f"{address.path}?{address.query}")).status == 200


class TestBrowser:
    """The functions behind the login page, on an application with nothing else on it."""

    @pytest.fixture
    async def browser(self, settings_factory: SettingsFactory, tmp_path: Any) -> Any:
        settings = settings_factory(auth="jwt", login_max_failures=3)
        database = Database(settings.database_file)
        await database.open()
        app = web.Application(middlewares=[Problems().middleware(), authenticate])
        app[SETTINGS] = settings
        parts = app[ACCESS] = build_access(settings, SqlAccountStore(database))
        parts.ring.open()
        await parts.directory.add("ann", PASSWORD, Role.USER)

        async def login(request: web.Request) -> web.Response:
            form = await request.post()
            response = web.Response()
            await log_in_browser(request, response, str(form["username"]), str(form["password"]))
            return response

        async def logout(request: web.Request) -> web.Response:
            response = web.Response()
            await log_out_browser(request, response)
            return response

        async def who(request: web.Request) -> web.Response:
            return web.Response(text=request[PRINCIPAL].name)

        app.router.add_post("/ui/login", login)
        app.router.add_post("/ui/logout", logout)
        app.router.add_route("*", "/ui/who", who)
        client: Client = TestClient(TestServer(app))
        await client.start_server()
        yield client
        await client.close()
        await database.close()

    async def test_a_cookie_keeps_the_browser_logged_in_until_logout(self, browser: Client) -> None:
        reply = await browser.post("/ui/login", data={"username": "ann", "password": PASSWORD})
        cookie = reply.cookies["sdrest_session"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
        assert await (await browser.get("/ui/who")).text() == "ann"
        stolen = {"sdrest_session": cookie.value}
        assert (await browser.post("/ui/logout")).status == 200
        browser.session.cookie_jar.update_cookies(stolen)
        assert (await browser.get("/ui/who")).status == 401

    async def test_another_sites_page_cannot_use_the_cookie_or_log_in(self, browser: Client) -> None:
        form = {"username": "ann", "password": PASSWORD}
        foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await browser.post("/ui/login", data=form, headers=foreign)).status == 403
        await browser.post("/ui/login", data=form)
        assert (await browser.post("/ui/who")).status == 200
        assert (await browser.post("/ui/who", headers=foreign)).status == 403

    async def test_people_are_led_to_the_login_page_and_back(self, browser: Client) -> None:
        reply = await browser.get("/ui/who?a=1", headers={"Accept": "text/html"}, allow_redirects=False)
        assert reply.status == 303
        target = urlsplit(reply.headers["Location"])
        assert target.path == "/ui/login"
        assert parse_qsl(target.query) == [("next", "/ui/who?a=1")]

    async def test_the_cookie_is_no_bearer_token(self, browser: Client) -> None:
        reply = await browser.post("/ui/login", data={"username": "ann", "password": PASSWORD})
        text = reply.cookies["sdrest_session"].value
        browser.session.cookie_jar.clear()
        assert (await browser.get("/ui/who", headers=bearer(text))).status == 401

    async def test_the_audit_trail_names_accounts_but_no_secrets(
        self, browser: Client, audited: list[MutableMapping[str, Any]]
    ) -> None:
        await browser.post("/ui/login", data={"username": "ann", "password": PASSWORD})
        await browser.get("/ui/who", headers=basic("hunter2 typed as name", "wrong\nline"))
        await browser.post("/ui/logout")
        lines = [line for line in audited if line.get("audit")]
        assert [line["event"] for line in lines[-3:]] == ["login", "login failed", "logout"]
        assert lines[-3]["account"] == "ann"
        for secret in (PASSWORD, "hunter2", "wrong"):
            assert secret not in str(lines)


async def test_logins_are_audited_at_the_real_routes(
    audited: list[MutableMapping[str, Any]], client_factory: ClientFactory
) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "ann")
    tokens = await log_in(client, "ann")
    body = {"refresh_token": tokens["refresh_token"]}
    await client.post("/api/auth/refresh", json=body)
    await client.post("/api/auth/refresh", json=body)
    await access(client).directory.set_role("ann", Role.VIEWER)
    events = [line["event"] for line in audited if line.get("audit")]
    assert events == ["account added", "login", "refresh token used twice; session ended", "role changed"]


async def test_one_caller_may_have_so_many_event_streams_open(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="api-key", max_streams_per_user=2)
    ann, bob = [bearer(await key_of(client, name)) for name in ("ann", "bob")]
    pages = await client.get("/ui/events", headers=ann)
    assert pages.status == 200
    async with client.ws_connect("/api/ws", headers=ann):
        for path in ("/api/ws", "/ui/events", "/api/jobs/x/events"):
            full = await client.get(path, headers=ann)
            assert full.status == 429, path
            assert "Retry-After" in full.headers
        async with client.get("/ui/events", headers=bob) as others:
            assert others.status == 200
    async with asyncio.timeout(30):  # the server hears of the closing a moment later
        while (again := await client.get("/ui/events", headers=ann)).status == 429:
            await asyncio.sleep(0)
    assert again.status == 200
    again.close()
    pages.close()
