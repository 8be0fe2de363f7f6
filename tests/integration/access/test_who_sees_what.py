"""What the queue and the public status tell whom, on servers that several people use."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient

from tests.integration.access.test_authentication import bearer, key_of
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import base64_png, picture

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def told(client: Client, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    reply = await client.get(path, headers=headers or {})
    assert reply.status == 200, await reply.text()
    body: dict[str, Any] = await reply.json()
    return body


@pytest.fixture
async def shared(client_factory: ClientFactory, cheap_hashes: None) -> tuple[Client, dict[str, dict[str, str]]]:
    """A paused server, where ann has a waiting job and bob none, and everybody's credentials."""
    client = await client_factory(auth="api-key")
    keys = {
        "root": bearer(await key_of(client, "root", "admin")),
        "ann": bearer(await key_of(client, "ann")),
        "bob": bearer(await key_of(client, "bob")),
    }
    await client.post("/api/queue/pause", headers=keys["root"])
    reply = await client.post("/api/generate/text2img", json=SMALL, headers=keys["ann"])
    assert reply.status == 202, await reply.text()
    return client, keys


@pytest.mark.parametrize("path", ["/api/queue/status", "/api/status"])
@pytest.mark.parametrize(("who", "own"), [("root", 1), ("ann", 1), ("bob", 0)])
async def test_counts_are_the_callers_own_and_the_length_is_everybodys(
    shared: tuple[Client, dict[str, dict[str, str]]], path: str, who: str, own: int
) -> None:
    client, keys = shared
    body = await told(client, path, keys[who])
    queue = body.get("queue", body)
    assert (queue["pending_count"], queue["queue_length"]) == (own, 1)


async def test_nobody_is_told_the_length_of_the_queue_and_no_more(
    shared: tuple[Client, dict[str, dict[str, str]]],
) -> None:
    client, keys = shared
    await client.post("/api/queue/resume", headers=keys["root"])
    made = await client.post("/api/v1/generate", json=SMALL, headers=keys["ann"])
    assert made.status == 200, await made.text()
    await client.post("/api/queue/pause", headers=keys["root"])
    await client.post("/api/generate/text2img", json={**SMALL, "reuse": False}, headers=keys["ann"])
    stranger = await told(client, "/api/status")
    assert stranger["queue"]["queue_length"] == 1
    assert {stranger["queue"][f"{state}_count"] for state in ("pending", "running", "completed", "failed")} == {0}
    assert stranger["queue"]["current"] is None
    assert stranger["models"]["loaded"] == []
    assert await told(client, "/api/status", bearer("wrong")) | {"uptime": 0} == stranger | {"uptime": 0}
    assert (await told(client, "/api/status", keys["bob"]))["models"]["loaded"]


async def test_the_running_job_is_named_to_its_owner_only(
    shared: tuple[Client, dict[str, dict[str, str]]],
) -> None:
    client, keys = shared
    body = {**SMALL, "width": 256, "height": 256, "steps": 1000}
    reply = await client.post("/api/generate/text2img", json=body, headers=keys["ann"])
    job_id = (await reply.json())["job_id"]
    await client.post("/api/queue/resume", headers=keys["root"])
    while (await told(client, "/api/status", keys["ann"]))["queue"]["current"] != job_id:
        pass
    for headers, named in ((keys["root"], job_id), (keys["bob"], None), ({}, None)):
        assert (await told(client, "/api/status", headers))["queue"]["current"] == named
    await client.post("/api/queue/cancel", json={"job_id": job_id}, headers=keys["ann"])


async def test_uploaded_pictures_are_their_owners_alone(shared: tuple[Client, dict[str, dict[str, str]]]) -> None:
    client, keys = shared

    def form() -> FormData:
        data = FormData({"purpose": "vision"})
        data.add_field("file", base64.b64decode(base64_png(picture())), filename="a.png")
        return data

    assert (await client.post("/v1/files", data=form())).status == 401
    file_id = (await (await client.post("/v1/files", data=form(), headers=keys["ann"])).json())["id"]
    for who, status in (("ann", 200), ("bob", 404), ("root", 404)):
        listed = await told(client, "/v1/files", keys[who])
        assert [item["id"] for item in listed["data"]] == ([file_id] if who == "ann" else [])
        assert (await client.get(f"/v1/files/{file_id}", headers=keys[who])).status == status
        assert (await client.get(f"/v1/files/{file_id}/content", headers=keys[who])).status == status
    named = {"prompt": "p", "images": [{"file_id": file_id}]}
    refused = await client.post("/v1/images/edits", json=named, headers=keys["bob"])
    assert (refused.status, (await refused.json())["error"]["message"]) == (400, f"images: no file {file_id}")
    assert (await client.delete(f"/v1/files/{file_id}", headers=keys["bob"])).status == 404
    assert (await client.delete(f"/v1/files/{file_id}", headers=keys["ann"])).status == 200
