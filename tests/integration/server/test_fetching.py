"""Pictures from URLs: fetched, bounded, and never from the server's own networks."""

from __future__ import annotations

import asyncio
import base64
import io
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from sdrest.core.errors import InvalidInput, TooLarge
from sdrest.net.fetching import Fetcher, Guard, is_public_address
from tests.integration.conftest import ClientFactory


def png(width: int = 8, height: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
async def elsewhere() -> AsyncIterator[TestServer]:
    """Another server on this machine."""

    async def picture(_request: web.Request) -> web.Response:
        return web.Response(body=png(), content_type="image/png")

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    async def loop(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/loop")

    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=bytes(3_000_000))

    async def slow(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/picture.png", picture)
    app.router.add_get("/redirect", redirect)
    app.router.add_get("/loop", loop)
    app.router.add_get("/large", large)
    app.router.add_get("/slow", slow)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


class Names(AbstractResolver):
    """Answers every name with the same addresses, and counts how often it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "fd00:ec2::254", "2001:0:1::1", "not an address",
    ],
)  # fmt: skip
def test_these_addresses_are_not_public(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
def test_these_addresses_are_public(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/", "http://127.1/",
        "http://169.254.169.254/latest/meta-data/", "ftp://example.org/", "file:///etc/passwd", "http://user@1.1.1.1/", "http:///x",
    ],
)  # fmt: skip
async def test_private_places_are_refused(url: str) -> None:
    fetcher = Fetcher(Guard(), max_bytes=1000, timeout_seconds=5)
    with pytest.raises(InvalidInput) as caught:
        await fetcher.fetch(url, field="init_image")
    assert caught.value.problems[0].field == "init_image"


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_what_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput):
        await Fetcher(Guard(), max_bytes=1000, timeout_seconds=5).fetch(f"http://{host}/x.png", field="init_image")


async def test_a_redirect_to_a_private_place_is_refused(elsewhere: TestServer) -> None:
    port = elsewhere.port
    fetcher = Fetcher(Guard([f"127.0.0.1:{port}"]), max_bytes=10_000, timeout_seconds=5)
    base = f"http://127.0.0.1:{port}"
    assert (await fetcher.fetch(f"{base}/redirect?to={base}/picture.png", field="x")).data == png()
    with pytest.raises(InvalidInput, match="private network"):
        await fetcher.fetch(f"{base}/redirect?to=http://localhost:{port}/picture.png", field="x")
    with pytest.raises(InvalidInput, match="redirects"):
        await fetcher.fetch(f"{base}/loop", field="x")


async def test_a_name_of_this_machine_is_refused_where_the_connection_is_made(elsewhere: TestServer) -> None:
    names = Names("127.0.0.1")
    with pytest.raises(InvalidInput, match="private network"):
        await Fetcher(Guard(resolver=names), max_bytes=1000, timeout_seconds=5).fetch(
            f"http://rebind.example:{elsewhere.port}/picture.png", field="x"
        )
    assert names.asked == 1


async def test_only_the_judged_addresses_are_handed_on() -> None:
    found = await Guard(resolver=Names("10.0.0.1", "1.1.1.1", "169.254.169.254")).resolve("mixed.example", 80)
    assert [item["host"] for item in found] == ["1.1.1.1"]


async def test_size_and_time_are_bounded(elsewhere: TestServer) -> None:
    base = f"http://127.0.0.1:{elsewhere.port}"
    guard = Guard(["127.0.0.1"])
    fetcher = Fetcher(guard, max_bytes=1_000_000, timeout_seconds=30)
    with pytest.raises(TooLarge):
        await fetcher.fetch(f"{base}/large", field="x")
    with pytest.raises(InvalidInput, match="404"):
        await fetcher.fetch(f"{base}/nothing", field="x")
    with pytest.raises(InvalidInput, match="no answer"):
        await Fetcher(guard, max_bytes=1_000_000, timeout_seconds=0.1).fetch(f"{base}/slow", field="x")


async def test_the_route_gives_the_picture_as_base64(client_factory: ClientFactory, elsewhere: TestServer) -> None:
    url = f"http://127.0.0.1:{elsewhere.port}/picture.png"
    careful = await client_factory()
    refused = await careful.get("/api/image/download", params={"url": url})
    assert refused.status == 400
    assert "private network" in (await refused.json())["error"]


async def test_the_route_fetches_from_allowed_hosts(client_factory: ClientFactory, elsewhere: TestServer) -> None:
    client: TestClient[Any, Any] = await client_factory(fetch_allowed_hosts=("127.0.0.1",))
    url = f"http://127.0.0.1:{elsewhere.port}/picture.png"
    body = await (await client.get("/api/image/download", params={"url": url})).json()
    assert base64.b64decode(body["image"]) == png()
    assert (body["width"], body["height"], body["mime_type"]) == (8, 8, "image/png")
    resized = await client.post("/api/image/resize", json={"image": url, "width": 4, "height": 2})
    assert (await resized.json())["width"] == 4
