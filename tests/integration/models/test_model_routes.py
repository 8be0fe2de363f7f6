"""The model routes, from listing to a converted model that paints."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.errors import SdrestError
from sdrest.core.principal import ANYONE
from sdrest.web.http.keys import JOBS, MODELS
from sdrest.work.model_files import converting
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import place
from tests.integration.pictures.test_generate import finished
from tests.tiny.embedded import NAME

Client = TestClient[Any, Any]


@pytest.fixture
async def stocked(client: Client, settings_factory: Any) -> Client:
    """A client of a server that has models of several types."""
    place(settings_factory().models_dir, "ovis", "tae16", "esrgan", "ovis_lora")
    await asyncio.to_thread(client.app[MODELS].refresh)
    return client


async def get(client: Client, path: str) -> dict[str, Any]:
    reply = await client.get(path)
    body: dict[str, Any] = await reply.json()
    assert reply.status == 200, body
    return body


async def test_listing_filters_sorts_and_pages(stocked: Client) -> None:
    everything = await get(stocked, "/api/v1/models")
    assert everything["total"] == len(everything["models"]) >= 5
    by_or = await get(stocked, "/api/models?type=lora|esrgan")
    by_bits = await get(stocked, "/api/models?type=129")
    assert {model["type"] for model in by_or["models"]} == {"lora", "esrgan"}
    assert by_bits["models"] == by_or["models"]
    largest = await get(stocked, "/api/models?sort_by=size&sort_order=desc&limit=2")
    sizes = [model["size"] for model in largest["models"]]
    assert sizes == sorted(sizes, reverse=True)
    assert (len(sizes), largest["has_next"], largest["has_prev"]) == (2, True, False)
    assert [
        model["name"] for model in (await get(stocked, "/api/models?search=ovis.gguf&type=checkpoint"))["models"]
    ] == ["ovis"]
    reply = await stocked.get("/api/models?type=magic&sort_by=colour")
    assert reply.status == 400


async def test_details_types_directories_and_stats(stocked: Client) -> None:
    detail = await get(stocked, "/api/models/ovis")
    assert (detail["architecture"], detail["type_id"], detail["missing_components"]) == ("ovis_image", 2, [])
    assert await get(stocked, f"/api/models/{detail['id']}") == detail
    types = {item["name"]: item for item in (await get(stocked, "/api/models/types"))["types"]}
    assert (types["lora"]["id"], types["embedding"]["id"]) == (1, 1024)
    folders = {item["type"]: item for item in (await get(stocked, "/api/models/directories"))["directories"]}
    assert folders["checkpoints"]["writable"]
    assert folders["checkpoints"]["count"] >= 2
    assert (await get(stocked, "/api/models/stats"))["by_type"]["esrgan"] == 1
    missing = await stocked.get("/api/models/nothing-like-it")
    assert missing.status == 404


async def test_loading_and_unloading(stocked: Client) -> None:
    loaded = await (await stocked.post("/api/models/ovis/load?wait=true")).json()
    assert loaded["status"] == "loaded", loaded
    assert (await get(stocked, "/api/models/ovis"))["is_loaded"]
    assert "ovis" in (await get(stocked, "/api/status"))["models"]["loaded"]
    freed = await (await stocked.post("/api/models/ovis/unload")).json()
    assert (freed["status"], freed["unloaded"]) == ("unloaded", 1)
    assert not (await get(stocked, "/api/models/ovis"))["is_loaded"]
    refused = await stocked.post("/api/models/esrgan/load")
    assert refused.status == 400


async def test_files_that_come_and_go_are_noticed(stocked: Client, settings_factory: Any) -> None:
    folder: Path = settings_factory().models_dir / "checkpoints"
    before = await get(stocked, "/api/models/stats")
    (folder / "copy.gguf").write_bytes((folder / "ovis.gguf").read_bytes())
    report = await (await stocked.post("/api/models/refresh")).json()
    assert (report["added"], report["total"]) == (1, before["total"] + 1)
    (folder / "copy.gguf").unlink()
    assert (await (await stocked.post("/api/models/refresh")).json())["removed"] == 1


async def test_files_are_noticed_without_being_told_wherever_their_folder_lies(
    client_factory: ClientFactory, tmp_path: Path
) -> None:
    client = await client_factory(checkpoints=tmp_path / "elsewhere", watch_seconds=0.05)
    source = tmp_path / "models" / "checkpoints" / f"{NAME}.gguf"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "new.gguf").write_bytes(source.read_bytes())
    async with asyncio.timeout(30):
        while (reply := await client.get("/api/models/new")).status == 404:
            await asyncio.sleep(0.02)
        assert (await reply.json())["path"] == "checkpoints/new.gguf"
        (tmp_path / "elsewhere" / "new.gguf").unlink()
        while (await client.get("/api/models/new")).status == 200:
            await asyncio.sleep(0.02)


async def test_hashes_are_made_in_the_background_and_kept(stocked: Client) -> None:
    model = stocked.app[MODELS].catalogue.resolve("ovis")
    reply = await stocked.post("/api/models/hash", json={"models": ["ovis", "esrgan"]})
    assert reply.status == 202
    job = await finished(stocked, (await reply.json())["job_id"])
    assert job["status"] == "completed", job
    again = await stocked.post("/api/models/hash", json={"model": "ovis"})
    assert again.status == 200
    digest = hashlib.sha256(model.path.read_bytes()).hexdigest()
    assert await again.json() == {"results": [{"model": "ovis", "sha256": digest}]}
    assert (await get(stocked, f"/api/models/{digest[:10]}"))["name"] == "ovis"


async def test_validation_and_batches(stocked: Client, settings_factory: Any) -> None:
    folder: Path = settings_factory().models_dir / "checkpoints"
    (folder / "cut.gguf").write_bytes((folder / "ovis.gguf").read_bytes()[:100_000])
    await stocked.post("/api/models/refresh")
    verdict = await (await stocked.post("/api/models/validate", json={"model": "ovis"})).json()
    assert (verdict["valid"], verdict["compatible"]) == (True, True)
    batch = await (
        await stocked.post("/api/models/batch", json={"operation": "validate", "models": ["ovis", "cut", "nothing"]})
    ).json()
    assert [result["success"] for result in batch["results"]] == [True, False, False]
    assert (batch["succeeded"], batch["failed"]) == (1, 2)


async def test_a_converted_model_is_listed_and_paints(stocked: Client) -> None:
    reply = await stocked.post(
        "/api/models/convert", json={"model_name": "embedded", "quantization_type": "Q8_0", "output_path": ""}
    )
    body = await reply.json()
    assert reply.status == 202, body
    job = await finished(stocked, body["job_id"])
    assert job["status"] == "completed", job
    converted = await get(stocked, "/api/models/embedded-q8_0")
    assert converted["path"] == "checkpoints/embedded-q8_0.gguf"
    picture = await stocked.post("/api/v1/generate", json={**SMALL, "model": "embedded-q8_0"})
    assert picture.status == 200, await picture.json()


async def test_a_conversion_whose_end_was_not_stored_is_done_again_over_its_own_file_only(stocked: Client) -> None:
    body = {"model_name": "embedded", "quantization_type": "q8_0"}
    job_id = (await (await stocked.post("/api/models/convert", json=body)).json())["job_id"]
    await finished(stocked, job_id)
    job = await stocked.app[JOBS].get(job_id, ANYONE)
    work = converting(stocked.app[MODELS])

    def again(**changed: Any) -> None:
        work(dataclasses.replace(job, **changed), lambda _done, _total: None, lambda: False)

    await asyncio.to_thread(again, attempt=2)
    with pytest.raises(SdrestError, match="exists"):
        await asyncio.to_thread(again, attempt=1)
    with pytest.raises(SdrestError, match="exists"):  # a file that was there before
        await asyncio.to_thread(again, attempt=2, created_at=datetime.now(UTC) + timedelta(days=1))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"output_path": "/tmp/elsewhere.gguf"}, 403),
        ({"output_path": "../../elsewhere.gguf"}, 403),
        ({"quantization_type": "q9_9"}, 400),
        ({"model_name": "nothing"}, 404),
        ({"rules": "(="}, 400),
        ({"vae": "nothing"}, 400),
        ({"output_path": "checkpoints/ovis.gguf"}, 400),
        ({"output_path": "checkpoints/embedded.gguf", "overwrite": True}, 400),
    ],
)
async def test_conversions_that_cannot_be_are_refused(stocked: Client, change: dict[str, Any], status: int) -> None:
    body = {"model_name": "embedded", "quantization_type": "q8_0", **change}
    reply = await stocked.post("/api/models/convert", json=body)
    assert reply.status == status, await reply.json()
