"""Pictures of a batch can be fetched as soon as they are finished, while the job goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sdrest.web.http.keys import ENGINES
from tests.engine import EngineWithGate
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.test_generate import finished

COUNT = 3


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def test_the_first_picture_is_there_before_the_last(client_factory: ClientFactory) -> None:
    client = await client_factory(EngineWithGate)
    submitted = await (await client.post("/api/generate/text2img", json={**SMALL, "batch_count": COUNT})).json()
    url = f"/api/queue/job/{submitted['job_id']}"
    while not (job := await (await client.get(url)).json())["outputs"]:
        assert job["status"] in {"pending", "running"}
        await asyncio.sleep(0.02)
    assert (job["status"], len(job["outputs"])) == ("running", 1)
    early = await client.get(job["images"][0]["url"])
    assert early.status == 200
    picture = await early.read()
    client.app[ENGINES].first.gate.set()
    job = await finished(client, submitted["job_id"])
    assert len(job["outputs"]) == COUNT
    assert await (await client.get(job["images"][0]["url"])).read() == picture
