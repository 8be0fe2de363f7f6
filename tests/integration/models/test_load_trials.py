"""Loading a model for trial: what the library says of it is told, and the engine that serves does not notice."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.errors import InsufficientMemory, ModelUnusable
from sdrest.core.principal import Role
from sdrest.engine.messages import ContextSpec
from sdrest.engine.trial import try_loading
from sdrest.web.http.keys import ACCESS, ENGINES, MODELS
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import place
from tests.integration.pictures.test_generate import finished
from tests.tiny.fixtures import cached

Client = TestClient[Any, Any]
HTMX = {"HX-Request": "true"}


def lacking_a_tensor(good: bytes) -> bytes:
    """A model whose header holds no fault that could be seen without the library's graph."""
    return good.replace(b"layers.0.mlp.up_proj", b"layers.0.mlp.xx_proj")


def fatal(good: bytes) -> bytes:
    """A model with an empty tensor: the library divides by its size."""
    data = bytearray(good)
    name = b"x_embedder.proj.weight"
    struct.pack_into("<Q", data, data.find(name) + len(name) + 4, 0)
    return bytes(data)


def spec(path: Path) -> ContextSpec:
    return ContextSpec(files=(("model", str(path)),), options=(("vae_decode_only", True), ("threads", 1)))


async def test_a_trial_tells_time_and_memory_or_the_librarys_words(tmp_path: Path) -> None:
    good = cached("ernie")
    loaded = await try_loading(spec(good), timeout_seconds=300, memory_bytes=8 << 30)
    assert loaded.seconds > 0
    assert loaded.peak_bytes > good.stat().st_size
    for change, words in (
        (lacking_a_tensor, "up_proj.weight' not in model file"),
        (fatal, "ended its process .* SIGFPE"),
    ):
        path = tmp_path / f"{change.__name__}.gguf"
        path.write_bytes(change(good.read_bytes()))
        with pytest.raises(ModelUnusable, match=words) as caught:
            await try_loading(spec(path), timeout_seconds=300, memory_bytes=8 << 30)
        assert caught.value.log_tail


async def test_a_trial_is_bounded_in_memory_and_time() -> None:
    with pytest.raises(InsufficientMemory, match="more than the 1 MiB"):
        await try_loading(spec(cached("ernie")), timeout_seconds=300, memory_bytes=1 << 20)
    with pytest.raises(ModelUnusable, match="had not loaded it after"):
        await try_loading(spec(cached("ernie")), timeout_seconds=0.01, memory_bytes=8 << 30)


async def validated(client: Client, name: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    reply = await client.post("/api/models/validate", json={"model": name, **fields})
    return reply.status, await reply.json()


@pytest.mark.slow
async def test_what_the_library_does_to_the_trial_is_not_the_servers_business(client: Client, tmp_path: Path) -> None:
    engine = client.app[ENGINES].first.supervisor
    good = (await validated(client, "embedded", load_test=True))[1]
    job = await finished(client, good["job_id"])
    assert (good["valid"], job["status"]) == (True, "completed"), job
    assert "MiB of memory" in job["warnings"][0]
    await client.app[ENGINES].first.info()
    pid = engine.pid

    file = tmp_path / "models" / "checkpoints" / "odd.gguf"
    file.write_bytes(cached("ernie").read_bytes())
    await asyncio.to_thread(client.app[MODELS].refresh)
    for change, words in ((lacking_a_tensor, "not in model file"), (fatal, "ended its process")):
        await client.post("/api/queue/pause")
        status, body = await validated(client, "odd", load_test=True)
        assert (status, body["status"]) == (202, "pending"), body
        file.write_bytes(change(cached("ernie").read_bytes()))
        await client.post("/api/queue/resume")
        job = await finished(client, body["job_id"])
        assert job["status"] == "failed"
        assert words in str(job["error"]), job
        file.write_bytes(cached("ernie").read_bytes())
    assert (engine.pid, engine.restarts) == (pid, 0)
    reply = await client.post("/api/v1/generate", json=SMALL)
    assert reply.status == 200, await reply.json()


async def test_a_trial_can_be_cancelled_and_needs_a_sound_main_model(client: Client, settings_factory: Any) -> None:
    place(settings_factory().models_dir, "esrgan")
    folder: Path = settings_factory().models_dir / "checkpoints"
    (folder / "cut.gguf").write_bytes(cached("ernie").read_bytes()[:100_000])
    await asyncio.to_thread(client.app[MODELS].refresh)
    status, body = await validated(client, "cut", load_test=True)
    assert (status, body["valid"], "job_id" in body) == (200, False, False)
    assert (await validated(client, "esrgan", load_test=True))[0] == 400
    await client.post("/api/queue/pause")
    _, body = await validated(client, "embedded", load_test=True)
    await client.post("/api/queue/cancel", json={"job_id": body["job_id"]})
    assert (await finished(client, body["job_id"]))["status"] == "cancelled"


async def test_too_little_memory_is_told_before_anything_is_loaded(client_factory: ClientFactory) -> None:
    client = await client_factory(memory_budget_bytes=1 << 20)
    _, body = await validated(client, "embedded", load_test=True)
    job = await finished(client, body["job_id"])
    assert (job["status"], "MiB are free" in str(job["error"])) == ("failed", True), job


async def test_the_page_offers_it_with_and_without_scripts(client: Client) -> None:
    here = f"/ui/models/{client.app[MODELS].catalogue.resolve('embedded').id}"
    assert 'name="load_test"' in await (await client.get(here)).text()
    shown = await (await client.post(f"{here}/validate", data={"load_test": "on"}, headers=HTMX)).text()
    assert "/ui/jobs/" in shown
    plain = await client.post(f"{here}/validate", data={"load_test": "on"})
    assert (plain.status, plain.url.path.startswith("/ui/jobs/")) == (200, True)


@pytest.mark.usefixtures("cheap_hashes")
async def test_it_needs_the_permission_to_manage_models(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await client.app[ACCESS].directory.add("ann", "correct horse battery", Role.USER)
    await client.post("/ui/login", data={"username": "ann", "password": "correct horse battery"})
    here = f"/ui/models/{client.app[MODELS].catalogue.resolve('embedded').id}"
    assert 'name="load_test"' not in await (await client.get(here)).text()
    assert (await client.post(f"{here}/validate", data={"load_test": "on"}, headers=HTMX)).status == 403
