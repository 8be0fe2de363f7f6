"""Models come and go within the memory budget: kept, evicted, refused, loaded and unloaded by request, unloaded when idle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sdrest.core.events import ModelChanged
from sdrest.core.job import JobType
from sdrest.core.principal import ANYONE
from sdrest.jobs.events import Subscription
from sdrest.jobs.service import JobService
from sdrest.web.http.keys import ENGINES, INTAKE, JOBS, MODELS, RESIDENCY
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import Client, place, submit

OVIS: dict[str, Any] = {"prompt": "a red apple", "model": "ovis", "width": 32, "height": 32, "steps": 1, "seed": 7}
MIB = 1 << 20


def follow(client: Client) -> Subscription:
    assert client.app is not None
    jobs: JobService = client.app[JOBS]
    return jobs.broadcast.subscribe(lambda event: isinstance(event, ModelChanged))


async def states(events: Subscription) -> list[tuple[str, str]]:
    """Model and new state of what has happened; progress of loading left out."""
    events.close()
    found = [event async for event in events]
    return [(e.model_name, e.state) for e in found if isinstance(e, ModelChanged) and e.state != "loading"]


async def test_models_stay_loaded_while_the_budget_allows(client_factory: ClientFactory, tmp_path: Path) -> None:
    place(tmp_path / "models", "ovis", "tae16")
    client = await client_factory()
    events = follow(client)
    for body in (SMALL, OVIS, SMALL, OVIS):
        assert (await submit(client, "text2img", body))["status"] == "completed"
    assert await states(events) == [("embedded", "loaded"), ("ovis", "loaded")]


async def test_least_recently_used_model_makes_room(client_factory: ClientFactory, tmp_path: Path) -> None:
    place(tmp_path / "models", "ovis", "tae16")
    client = await client_factory(memory_budget_bytes=270 * MIB)
    events = follow(client)
    for body in (SMALL, OVIS, SMALL):
        job = await submit(client, "text2img", body)
        assert job["status"] == "completed", job
    assert await states(events) == [
        ("embedded", "loaded"),
        ("embedded", "unloaded"),
        ("ovis", "loaded"),
        ("ovis", "unloaded"),
        ("embedded", "loaded"),
    ]


async def test_what_cannot_fit_is_refused_before_or_fails_with_the_reason(client_factory: ClientFactory) -> None:
    client = await client_factory(memory_budget_bytes=64 * MIB)
    response = await client.post("/api/generate/text2img", json=SMALL)
    reply = await response.json()
    assert response.status == 507
    assert reply["code"] == "insufficient_memory"
    assert reply["details"]["needed_bytes"] > reply["details"]["budget_bytes"] == 64 * MIB


async def test_dry_run_tells_that_a_size_cannot_fit(client_factory: ClientFactory) -> None:
    client = await client_factory(memory_budget_bytes=400 * MIB)
    large = {**SMALL, "width": 1536, "height": 1536, "steps": 1}
    job = await submit(client, "text2img", large)
    assert job["failure"]["slug"] == "insufficient_memory"
    again = await client.post("/api/generate/text2img", json=large)
    assert again.status == 507, "once found out, it is refused before it is queued"
    assert (await submit(client, "text2img", SMALL))["status"] == "completed"


async def test_model_is_loaded_and_unloaded_by_request(client_factory: ClientFactory) -> None:
    client = await client_factory()
    assert client.app is not None
    jobs, residency = client.app[JOBS], client.app[RESIDENCY]
    model = client.app[MODELS].catalogue.resolve("embedded")
    events = follow(client)
    job = await client.app[INTAKE].submit_task(JobType.LOAD, {}, ANYONE, model_id=model.id, model_name=model.name)
    ended = await jobs.wait(job.id, ANYONE)
    assert ended.state == "completed"
    assert residency.model_ids == {model.id}
    done = await residency.unload(model)
    assert done.number == 1
    assert done.after < done.before
    assert not residency.model_ids
    events.close()
    fractions = [e.fraction async for e in events if isinstance(e, ModelChanged) and e.state == "loading"]
    assert fractions[0] == 0
    assert fractions == sorted(fractions)


async def test_idle_models_are_unloaded(client_factory: ClientFactory) -> None:
    client = await client_factory(idle_unload_seconds=0.3)
    events = follow(client)
    await submit(client, "text2img", SMALL)
    async with asyncio.timeout(20):
        async for event in events:
            if isinstance(event, ModelChanged) and event.state == "unloaded":
                break
    assert (await submit(client, "text2img", SMALL))["status"] == "completed"


async def test_death_of_the_engine_unloads_everything(client_factory: ClientFactory) -> None:
    client = await client_factory()
    await submit(client, "text2img", SMALL)
    events = follow(client)
    assert client.app is not None
    client.app[ENGINES].first.supervisor.kill()
    async with asyncio.timeout(20):
        async for event in events:
            assert isinstance(event, ModelChanged)
            assert event.state == "unloaded"
            break
    assert not client.app[RESIDENCY].model_ids


async def test_broken_and_foreign_files_are_refused_by_their_headers(
    client_factory: ClientFactory, tmp_path: Path
) -> None:
    place(tmp_path / "models", "ovis", "tae16", "flux2_vae")
    for name, data in (("garbage", b"\x07" * 5000), ("empty", b""), ("page", b"<html>not here</html>")):
        (tmp_path / "models" / "vae" / f"{name}.safetensors").write_bytes(data)
    client = await client_factory()
    for name in ("garbage", "empty", "page", "flux2_vae"):
        response = await client.post("/api/generate/text2img", json={**OVIS, "vae_model": name})
        reply = await response.json()
        assert response.status == 400, reply
        assert reply["details"]["errors"][0]["field"] == "vae_model"
    assert (await submit(client, "text2img", OVIS))["status"] == "completed"


async def test_picture_of_not_a_number_is_a_failure_and_the_next_job_is_unharmed(client_factory: ClientFactory) -> None:
    client = await client_factory()
    flat = await submit(client, "text2img", {**SMALL, "scheduler": "ays"})
    assert flat["status"] == "failed"
    assert flat["failure"]["slug"] == "flat_picture"
    assert "one flat colour" in flat["error"]
    assert flat["outputs"] == []
    assert (await submit(client, "text2img", SMALL))["status"] == "completed"
