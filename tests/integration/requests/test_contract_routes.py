"""Every endpoint of the contract is answered, under both prefixes, with a status that the contract knows."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]
NONE = "00000000-0000-0000-0000-000000000000"

#: Method, path below the prefix, body, and the status on an idle server without authentication and without model files.
SERVER_A: list[tuple[str, str, Any, int]] = [
    ("POST", "/generate/text2img", SMALL, 202),
    ("POST", "/generate/img2img", {"prompt": "x"}, 400),
    ("POST", "/generate/controlnet", {"prompt": "x"}, 400),
    ("POST", "/generate/inpainting", {"prompt": "x"}, 400),
    ("POST", "/generate/upscale", {}, 400),
    ("POST", "/generate/video", {}, 400),
    ("POST", "/generate", {}, 400),
    ("GET", f"/generate/{NONE}", None, 404),
    ("GET", f"/queue/job/{NONE}", None, 404),
    ("GET", "/queue/status", None, 200),
    ("POST", "/queue/cancel", {"job_id": NONE}, 404),
    ("POST", "/queue/clear", None, 200),
    ("GET", f"/queue/job/{NONE}/output/image_0.png", None, 404),
    ("GET", f"/jobs/{NONE}/output/image_0.png", None, 404),
    ("GET", "/health", None, 200),
    ("GET", "/status", None, 200),
    ("GET", "/version", None, 200),
    ("GET", "/system", None, 200),
    ("GET", "/config", None, 200),
    ("POST", "/system/restart", None, 503),
    ("POST", "/auth/login", {"username": "a", "password": "b"}, 400),
    ("GET", "/auth/validate", None, 200),
    ("POST", "/auth/refresh", {}, 401),
    ("GET", "/auth/me", None, 200),
    ("GET", "/auth/profile", None, 200),
    ("POST", "/auth/logout", None, 200),
    ("GET", "/samplers", None, 200),
    ("GET", "/schedulers", None, 200),
    ("GET", "/parameters", None, 200),
    ("POST", "/validate", SMALL, 200),
    ("POST", "/estimate", SMALL, 200),
    ("POST", "/image/resize", {}, 400),
    ("POST", "/image/crop", {}, 400),
    ("GET", "/image/download", None, 400),
]
#: Landing with the registry's routes.
MODELS: list[tuple[str, str, Any, int]] = [
    ("GET", "/models", None, 200),
    ("GET", "/models/nothing", None, 404),
    ("POST", "/models/nothing/load", None, 404),
    ("POST", "/models/nothing/unload", None, 404),
    ("GET", "/models/types", None, 200),
    ("GET", "/models/directories", None, 200),
    ("POST", "/models/refresh", None, 200),
    ("GET", "/models/stats", None, 200),
    ("GET", "/models/demo/words", None, 200),
    ("POST", "/models/batch", {}, 400),
    ("POST", "/models/validate", {}, 400),
    ("POST", "/models/convert", {}, 400),
    ("POST", "/models/hash", {}, 400),
]
SERVER_B: list[tuple[str, str, Any, int]] = [
    ("POST", "/text-to-image", None, 400),
    ("POST", "/image-to-image", None, 400),
    ("POST", "/inpaint-image", None, 400),
    ("GET", "/text-to-image/61f957e4462ea8eff36d9e7a7b650994", None, 404),
    ("GET", "/image-to-image/ab1104f3b55fbab7779cdbdc73ed276e", None, 404),
    ("GET", "/inpaint-image/59a89dfc9f075942ce9afc08312b8296/1.png", None, 404),
]


def has_model_routes(client: Client) -> bool:
    assert client.app is not None
    return any(resource.canonical == "/api/models" for resource in client.app.router.resources())


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
async def test_server_a(client: Client, prefix: str) -> None:
    await client.post("/api/queue/pause")
    wrong = {}
    for method, path, body, status in SERVER_A + (MODELS if has_model_routes(client) else []):
        reply = await client.request(method, prefix + path, json=body)
        if reply.status != status:
            wrong[f"{method} {path}"] = (reply.status, await reply.text())
    assert not wrong


async def test_server_b(client: Client) -> None:
    for method, path, _, status in SERVER_B:
        reply = await client.request(method, path)
        assert reply.status == status, (method, path, await reply.text())


async def test_the_page_is_where_it_was(client: Client) -> None:
    reply = await client.get("/ui/")
    assert reply.status == 200
    assert reply.content_type == "text/html"


async def test_only_the_stated_routes_are_public(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    answered = set()
    for method, path, body, _ in SERVER_A + MODELS:
        if method == "GET" or "auth" not in path:
            reply = await client.request(method, "/api" + path, json=body)
            if reply.status != 401:
                answered.add(path)
    for method, path, _, _ in SERVER_B:
        assert (await client.request(method, path)).status == 401, path
    assert answered <= {"/health", "/status", "/version"} | {path for _, path, _, _ in MODELS}
    assert {"/health", "/status", "/version"} <= answered
