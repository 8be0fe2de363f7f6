"""What keeps a server safe from its clients and from other people's web pages."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.web.http.openapi import documented_routes
from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]
OUTSIDE = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/etc/passwd",
    "..",
    "a\0b",
)


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file of a few hundred bytes that says it holds so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


async def test_no_path_parameter_reaches_outside_its_folder(client: Client) -> None:
    assert client.app is not None
    routes = [route for route in documented_routes(client.app) if "{" in route.path and "/ws" not in route.path]
    assert len(routes) > 10
    submitted = await (await client.post("/api/generate/text2img", json=SMALL)).json()
    for route in routes:
        for outside in OUTSIDE:
            if outside == "..":  # the client itself resolves it
                continue
            path = route.path.replace("{job_id}", submitted["job_id"]) if "{filename}" in route.path else route.path
            while "{" in path:
                before, _, rest = path.partition("{")
                path = before + outside.replace("\0", "%00") + rest.partition("}")[2]
            reply = await client.request(
                route.method, path, json={} if route.method != "GET" else None, allow_redirects=False
            )
            body = await reply.read()
            assert 300 <= reply.status < 500, (route.method, path, reply.status, body)
            assert b"root:" not in body


@pytest.mark.parametrize("outside", OUTSIDE)
async def test_no_name_in_a_body_reaches_outside_its_folder(client: Client, outside: str) -> None:
    for body in (
        {"model": outside},
        {"vae_model": outside},
        {"loras": [{"name": outside}]},
        {"prompt": f"<lora:{outside}:1>"},
        {"upscale_model": outside},
        {"init_image": f"job:{outside}"},
        {"init_image": f"job:{outside}/{outside}"},
        {"init_image": f"file://{outside}"},
    ):
        reply = await client.post("/api/generate/text2img", json={**SMALL, **body})
        assert reply.status in {400, 404}, (body, await reply.text())
        assert "root:" not in await reply.text()


async def test_a_body_above_the_limit_is_refused(client_factory: ClientFactory) -> None:
    client = await client_factory(max_body_bytes=100_000)
    for headers, data in (({}, b" " * 200_000), ({"Content-Encoding": "gzip"}, gzip.compress(bytes(50_000_000)))):
        reply = await client.post(
            "/api/generate/text2img", data=data, headers={"Content-Type": "application/json", **headers}
        )
        assert reply.status == 413, await reply.text()
        assert (await reply.json())["code"] == "too_large"


@pytest.mark.parametrize("size", [(60_000, 60_000), (16_385, 1), (2**31 - 1, 2**31 - 1), (0, 5)])
async def test_a_picture_that_unpacks_to_too_much_is_refused(client: Client, size: tuple[int, int]) -> None:
    for path in ("/api/image/resize", "/api/image/crop"):
        data = {"image": base64.b64encode(png_of_size(*size)).decode(), "width": 8, "height": 8}
        reply = await client.post(path, json=data)
        assert reply.status == 400
        assert (await reply.json())["details"]["errors"][0]["field"] == "image"


async def test_text_chunks_of_a_picture_are_bounded(client: Client) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    packed = zlib.compress(bytes(100_000_000))
    chunk = b"zTXt" + b"parameters\0\0" + packed
    data = stream.getvalue()
    bomb = data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    reply = await client.post(
        "/api/image/resize",
        json={"image": base64.b64encode(bomb).decode(), "width": 8, "height": 8},
    )
    assert reply.status == 400


async def test_unknown_host_names_are_refused(client_factory: ClientFactory) -> None:
    client = await client_factory(allowed_hosts="pictures.example, other.example")
    for host, status in (
        ("pictures.example", 200), ("pictures.example:8080", 200), ("PICTURES.example", 200), ("localhost:99", 200),
        ("[::1]:8080", 200), ("192.0.2.7", 200), ("evil.example", 403), ("localhost.evil.example", 403), ("", 403),
    ):  # fmt: skip
        assert (await client.get("/api/health", headers={"Host": host})).status == status, host


async def test_pages_of_chosen_origins_may_read_replies(client_factory: ClientFactory) -> None:
    client = await client_factory(cors_origins="https://app.example")
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    good = await client.options("/api/v1/generate", headers={"Origin": "https://app.example", **preflight})
    assert good.status == 204
    assert good.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Content-Type" in good.headers["Access-Control-Allow-Headers"]
    other = await client.options("/api/v1/generate", headers={"Origin": "https://evil.example", **preflight})
    assert "Access-Control-Allow-Origin" not in other.headers
    reply = await client.get("/api/version", headers={"Origin": "https://app.example"})
    assert reply.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Origin" in reply.headers["Vary"]
    error = await client.get("/api/queue/job/none", headers={"Origin": "https://app.example"})
    assert error.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_without_the_setting_no_page_may_read_replies(client: Client) -> None:
    reply = await client.get("/api/version", headers={"Origin": "https://app.example"})
    assert "Access-Control-Allow-Origin" not in reply.headers


async def test_every_kind_of_reply_makes_browsers_careful(client: Client) -> None:
    job = await (await client.post("/api/v1/generate", json=SMALL)).json()
    for path in ("/api/health", "/docs", "/nothing", f"/api/v1/jobs/{job['job_id']}/output/image_0.png", "/ui/"):
        headers = (await client.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["X-Frame-Options"] == "DENY", path
        assert "unsafe-inline" not in headers["Content-Security-Policy"].partition("script-src")[2].partition(";")[0]
        assert headers["Content-Security-Policy"].startswith("default-src"), path
        assert len(headers["X-Request-Id"]) == 32, path


async def test_the_same_key_gives_the_same_job_on_every_way_in(client: Client) -> None:
    await client.post("/api/queue/pause")
    key = {"Idempotency-Key": "once"}
    first = await (await client.post("/api/generate/text2img", json=SMALL, headers=key)).json()
    again = await (await client.post("/api/v1/generate/text2img", json=SMALL, headers=key)).json()
    in_body = await (await client.post("/api/generate/text2img", json={**SMALL, "idempotency_key": "once"})).json()
    assert first["job_id"] == again["job_id"] == in_body["job_id"]
    await client.post("/api/queue/resume")
    whole = await (await client.post("/api/v1/generate", json=SMALL, headers=key)).json()
    assert whole["job_id"] == first["job_id"]
    assert whole["images"]


async def test_a_full_queue_says_when_to_come_back(client_factory: ClientFactory) -> None:
    client = await client_factory(max_pending_jobs=1)
    await client.post("/api/queue/pause")
    assert (await client.post("/api/generate/text2img", json=SMALL)).status == 202
    full = await client.post("/api/generate/text2img", json=SMALL)
    assert full.status == 429
    assert int(full.headers["Retry-After"]) > 0
