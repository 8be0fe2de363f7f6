"""A request that was answered before is answered with the earlier result, unless it must not be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.engine.client import Engine
from sdrest.web.http import keys
from tests.integration.conftest import SMALL, ClientFactory
from tests.tiny.embedded import place_embedded


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the folders of others."""
    return shared_models


@pytest.fixture
async def reusing(client_factory: ClientFactory) -> TestClient[Any, Any]:
    client = await client_factory(reuse_results=True)
    assert client.app is not None
    engine: Engine = client.app[keys.ENGINES].first
    await engine.info()  # what the library is belongs to the key
    return client


async def _made(client: TestClient[Any, Any], headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    reply = await client.post("/api/v1/generate", json={**SMALL, **more}, headers=headers)
    answer: dict[str, Any] = await reply.json()
    assert reply.status == 200, answer
    return answer


async def test_the_same_request_gets_the_same_picture_as_a_job_of_its_own(reusing: TestClient[Any, Any]) -> None:
    first, second = await _made(reusing), await _made(reusing)
    assert (first["reused"], second["reused"]) == (False, True)
    assert second["images"] == first["images"]
    assert second["job_id"] != first["job_id"]
    jobs = {
        name: await (await reusing.get(f"/api/queue/job/{answer['job_id']}")).json()
        for name, answer in (("first", first), ("second", second))
    }
    assert [(job["status"], job["reused"]) for job in jobs.values()] == [("completed", False), ("completed", True)]
    assert jobs["second"]["params"] == jobs["first"]["params"]
    assert jobs["second"]["completed_at"] >= jobs["first"]["completed_at"]
    listed = await (await reusing.get("/api/queue/status")).json()
    assert (listed["completed_count"], listed["total_count"]) == (2, 2)


async def test_each_of_the_two_can_be_deleted_without_the_other(reusing: TestClient[Any, Any]) -> None:
    first, second = await _made(reusing), await _made(reusing)
    assert (await reusing.delete(f"/api/queue/job/{first['job_id']}")).status == 200
    picture = await reusing.get(f"/api/v1/jobs/{second['job_id']}/output/image_0.png")
    assert picture.status == 200
    third = await _made(reusing)
    assert third["reused"]
    assert third["images"] == first["images"]


@pytest.mark.parametrize(
    ("headers", "more"),
    [
        ({}, {"reuse": False}),
        ({"Cache-Control": "max-age=0, no-cache"}, {}),
        ({}, {"seed": 8}),
        ({}, {"steps": 3}),
        ({}, {"prompt": "a green apple"}),
        ({}, {"batch_size": 2}),
    ],
)
async def test_what_differs_or_asks_for_it_is_made_anew(
    reusing: TestClient[Any, Any], headers: dict[str, str], more: dict[str, Any]
) -> None:
    await _made(reusing)
    assert not (await _made(reusing, headers, **more))["reused"]


async def test_a_random_seed_is_never_answered_with_an_earlier_picture(reusing: TestClient[Any, Any]) -> None:
    first, second = await _made(reusing, seed=-1), await _made(reusing, seed=-1)
    assert not second["reused"]
    assert first["images"][0]["seed"] != second["images"][0]["seed"]


async def test_a_result_whose_file_is_gone_is_made_anew(reusing: TestClient[Any, Any], tmp_path: Path) -> None:
    first = await _made(reusing)
    (tmp_path / "data" / "output" / first["job_id"] / "image_0.png").unlink()
    second = await _made(reusing)
    assert not second["reused"]
    assert second["images"] == first["images"]


async def test_a_model_is_what_is_in_its_file(client_factory: ClientFactory, tmp_path: Path) -> None:
    """Written anew with the same bytes it gives the earlier picture, with others a new one."""
    place_embedded(tmp_path)
    client = await client_factory(reuse_results=True, models_dir=tmp_path)
    await client.app[keys.ENGINES].first.info()
    await _made(client)
    for last_byte, is_same in ((b"", True), (b"\1", False)):
        for path in await asyncio.to_thread(lambda: list(tmp_path.rglob("*.gguf"))):
            data = path.read_bytes()
            path.unlink()  # the file may be shared with other tests
            path.write_bytes(data[: len(data) - len(last_byte)] + last_byte)
        assert (await _made(client))["reused"] is is_same


async def test_the_setting_turns_it_off(client_factory: ClientFactory) -> None:
    client = await client_factory(reuse_results=False)
    await _made(client)
    assert not (await _made(client))["reused"]


async def test_a_reused_ending_is_reported_like_any_other(reusing: TestClient[Any, Any]) -> None:
    first = await _made(reusing)
    accepted = await reusing.post("/api/generate/text2img", json=SMALL)
    answer = await accepted.json()
    assert (accepted.status, answer["status"], answer["reused"]) == (202, "completed", True)
    events = await reusing.get(f"/api/jobs/{answer['job_id']}/events")
    text = await asyncio.wait_for(events.text(), 30)
    assert '"status":"completed"' in text
    assert first["images"][0]["seed"] == answer["seed"]
