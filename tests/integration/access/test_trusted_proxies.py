"""What a proxy says of a request is believed where the proxy is trusted, and nowhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sdrest.core.errors import InvalidInput
from sdrest.web.http.proxies import TrustedProxies
from tests.integration.conftest import SMALL, ClientFactory

Seen = tuple[str | None, str, str]


@pytest.fixture
async def seen() -> Callable[..., Awaitable[Seen]]:
    """Address, scheme and host of a request with some headers, to a server that trusts some proxies."""

    async def ask(trusted: tuple[str, ...], **headers: str) -> Seen:
        async def tell(request: web.Request) -> web.Response:
            return web.json_response([request.remote, request.scheme, request.host])

        app = web.Application(middlewares=[TrustedProxies(trusted).middleware()])
        app.router.add_get("/", tell)
        async with TestClient(TestServer(app)) as client:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            address, scheme, host = await (await client.get("/", headers=sent)).json()
            return address, scheme, host

    return ask


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),  # who asks writes what it likes before it
        ("203.0.113.7, 10.0.0.9", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.0.0.9, 127.0.0.1", "203.0.113.7"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
        ("rubbish", "127.0.0.1"),
        ("rubbish, 10.0.0.9", "10.0.0.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
async def test_the_client_is_the_last_that_is_no_trusted_proxy(
    seen: Callable[..., Awaitable[Seen]], chain: str, address: str
) -> None:
    assert (await seen(("127.0.0.1", "10.0.0.0/8"), X_Forwarded_For=chain))[0] == address


async def test_scheme_and_host_are_the_proxy_s_word(seen: Callable[..., Awaitable[Seen]]) -> None:
    said = {"X_Forwarded_For": "203.0.113.7", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "art.example.org"}
    assert await seen(("127.0.0.0/8",), **said) == ("203.0.113.7", "https", "art.example.org")
    address, scheme, host = await seen(("192.0.2.0/24",), **said)  # not from there
    assert (address, scheme) == ("127.0.0.1", "http")
    assert host.startswith("127.0.0.1:")
    assert (await seen((), **said))[0] == "127.0.0.1"
    assert (await seen(("127.0.0.1",), X_Forwarded_Proto="ftp"))[1] == "http"
    assert (await seen(("127.0.0.1",), Forwarded="for=6.6.6.6;proto=https"))[:2] == ("127.0.0.1", "http")


def test_what_is_no_address_is_refused_at_start() -> None:
    with pytest.raises(InvalidInput, match="neither an IP address nor a network"):
        TrustedProxies(["proxy.example.org"])


async def test_guests_behind_a_proxy_are_told_apart_and_see_their_own(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="optional", trusted_proxies=["127.0.0.1"], allowed_hosts=["art.example.org"])
    await_job: dict[str, Any] = {}
    for guest in ("203.0.113.7", "203.0.113.8"):
        headers = {"X-Forwarded-For": guest, "X-Forwarded-Host": "art.example.org"}
        reply = await client.post("/api/generate/text2img", json=SMALL, headers=headers)
        assert reply.status == 202
        assert reply.headers["X-Request-Id"]
        await_job[guest] = (await reply.json())["job_id"]
    for guest, other in (("203.0.113.7", "203.0.113.8"), ("203.0.113.8", "203.0.113.7")):
        headers = {"X-Forwarded-For": guest}
        assert (await client.get(f"/api/jobs/{await_job[guest]}", headers=headers)).status == 200
        assert (await client.get(f"/api/jobs/{await_job[other]}", headers=headers)).status == 404


async def test_behind_https_links_and_cookies_are_those_of_https(
    client_factory: ClientFactory, cheap_hashes: None
) -> None:
    client = await client_factory(trusted_proxies=["127.0.0.1"], allowed_hosts=["art.example.org"])
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "art.example.org"}
    body = {"prompt": "a red apple", "size": "64x64", "response_format": "url", "steps": 1}
    reply = await (await client.post("/v1/images/generations", json=body, headers=headers)).json()
    assert reply["data"][0]["url"].startswith("https://art.example.org/api/")
    refused = await client.get("/api/status", headers={"X-Forwarded-Host": "evil.example.com"})
    assert refused.status == 403
