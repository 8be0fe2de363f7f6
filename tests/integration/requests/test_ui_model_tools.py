"""Checking, hashing and converting a model from its page, with and without scripts."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.model import Model
from sdrest.core.principal import Role
from sdrest.web.http.keys import ACCESS, MODELS
from tests.integration.conftest import ClientFactory
from tests.integration.pictures.generation_modes import place
from tests.integration.pictures.test_generate import finished

Client = TestClient[Any, Any]
HTMX = {"HX-Request": "true"}


def model(client: Client, name: str = "embedded") -> Model:
    server: Any = client.server
    found: Model = server.app[MODELS].catalogue.resolve(name)
    return found


async def queued(client: Client, path: str, form: dict[str, str]) -> dict[str, Any]:
    """The job that a form made, once it has ended."""
    reply = await client.post(path, data=form, allow_redirects=False)
    assert (reply.status, reply.headers["Location"].startswith("/ui/jobs/")) == (303, True)
    job = await finished(client, reply.headers["Location"].rpartition("/")[2])
    page = await client.get(reply.headers["Location"])
    assert "made no files" not in await page.text()
    return job


async def test_the_verdict_is_shown_in_place_and_on_the_page(client: Client) -> None:
    here = f"/ui/models/{model(client).id}"
    assert "The file is sound" not in await (await client.get(here)).text()
    shown = await (await client.post(f"{here}/validate", headers=HTMX)).text()
    assert "The file is sound" in shown
    assert "<html" not in shown
    followed = await client.post(f"{here}/validate")
    assert (followed.status, followed.url.path) == (200, here)
    assert "The file is sound" in await followed.text()


async def test_what_was_skipped_is_told_on_the_page_and_by_a_refresh(client: Client) -> None:
    server: Any = client.server
    loras = server.app[MODELS].folders.models_dir / "lora"
    loras.mkdir(parents=True, exist_ok=True)
    (loras / "gone.safetensors").symlink_to("/elsewhere/gone.safetensors")
    said = f"{loras}/gone.safetensors: links to /elsewhere/gone.safetensors, which is not there"
    assert said not in await (await client.get("/ui/models")).text()
    assert (await (await client.post("/api/models/refresh")).json())["skipped"] == [said]
    assert said in await (await client.get("/ui/models")).text()


async def test_the_verdict_on_a_cut_file_names_the_problem(client: Client) -> None:
    path = model(client).path
    path.with_name("cut.gguf").write_bytes(path.read_bytes()[:100_000])
    server: Any = client.server
    await asyncio.to_thread(server.app[MODELS].refresh)
    cut = model(client, "cut")
    text = await (await client.post(f"/ui/models/{cut.id}/validate", headers=HTMX)).text()
    assert "The file cannot be used" in text
    assert all(problem.code in text for problem in cut.problems)
    assert cut.problems
    assert 'id="convert"' not in await (await client.get(f"/ui/models/{cut.id}")).text()


async def test_hashing_is_a_job_and_the_known_hash_is_shown(client: Client) -> None:
    here = f"/ui/models/{model(client).id}"
    assert f'action="{here}/hash"' in await (await client.get(here)).text()
    assert (await queued(client, f"{here}/hash", {}))["status"] == "completed"
    text = await (await client.get(here)).text()
    assert hashlib.sha256(model(client).path.read_bytes()).hexdigest() in text
    assert f'action="{here}/hash"' not in text
    again = await client.post(f"{here}/hash", allow_redirects=False)
    assert again.headers["Location"] == here


async def test_the_preview_tells_what_the_conversion_then_writes(client: Client) -> None:
    source = model(client)
    here = f"/ui/models/{source.id}"
    form = {"quantization_type": "f32", "output": "wide.gguf", "rules": ""}
    preview = await client.get(f"{here}/plan", params=form, headers=HTMX)
    text = await preview.text()
    assert (preview.status, "<html" in text, "wide.gguf" in text) == (200, False, True)
    planned = dict(re.findall(r'aria-label="(\d+) tensors of (\w+)"', text))
    plain = await client.get(f"{here}/plan", params=form)
    page = await plain.text()
    assert (plain.status, plain.url.path, 'value="wide.gguf"' in page) == (200, here, True)
    assert re.search(r"<dt>Size</dt><dd>[\d.]+ [kM]B", text).group() in page  # type: ignore[union-attr]
    assert not source.path.with_name("wide.gguf").exists()
    assert (await queued(client, f"{here}/convert", form))["status"] == "completed"
    made = model(client, "wide")
    assert made.path == source.path.with_name("wide.gguf")
    assert {str(count): kind.value for kind, count in made.types.items()} == planned


async def test_a_result_is_replaced_and_a_vae_put_in_on_request(client: Client, tmp_path: Path) -> None:
    place(tmp_path / "models", "flux2_vae")
    server: Any = client.server
    await asyncio.to_thread(server.app[MODELS].refresh)
    source = model(client)
    here = f"/ui/models/{source.id}"
    page = await (await client.get(here)).text()
    vae = model(client, "flux2_vae")
    assert f'<option value="{vae.id}"' in page
    form = {"quantization_type": "f16", "output": "one.gguf"}
    assert (await queued(client, f"{here}/convert", form))["status"] == "completed"
    again = await client.post(f"{here}/convert", data=form, headers=HTMX)
    assert (again.status, "overwritten only on request" in await again.text()) == (400, True)
    more = [*form.items(), ("vae", vae.id), ("overwrite", "off"), ("overwrite", "on")]
    preview = await client.get(f"{here}/plan", params=more, headers=HTMX)
    assert preview.status == 200
    before = model(client, "one")
    assert (await queued(client, f"{here}/convert", dict(more)))["status"] == "completed"
    after = model(client, "one")
    assert after.id == before.id
    assert after.tensor_count != before.tensor_count


async def test_without_a_name_the_result_is_called_after_model_and_type(client: Client) -> None:
    source = model(client)
    job = await queued(client, f"/ui/models/{source.id}/convert", {"quantization_type": "f16"})
    assert job["status"] == "completed", job
    assert model(client, "embedded-f16").path.parent == source.path.parent


@pytest.mark.parametrize(
    ("change", "field", "words", "status"),
    [
        ({"quantization_type": "q9_9"}, "quantization_type", "unknown type", 400),
        ({"output": "embedded.gguf"}, "output", "overwrite", 400),
        ({"output": "result.bin"}, "output", "must be named", 400),
        ({"output": "no/such/folder/a.gguf"}, "output", "does not exist", 404),
        ({"output": "../../../away.gguf"}, "output", "outside the model folders", 403),
        ({"output": "/tmp/away.gguf"}, "output", "outside the model folders", 403),
        ({"output": "a\0.gguf"}, "output", "no file can have this name", 400),
        ({"output": "ü" * 150 + ".gguf"}, "output", "no file can have this name", 400),
        ({"output": "x" * 300 + ".gguf"}, "output", "at most 200 characters", 400),
        ({"rules": "(=f16"}, "rules", "no regular expression", 400),
    ],
)
async def test_a_mistake_is_told_beside_its_field(
    client: Client, change: dict[str, str], field: str, words: str, status: int
) -> None:
    here = f"/ui/models/{model(client).id}"
    form = {"quantization_type": "q8_0", "output": "", "rules": "", **change}
    line = rf'id="f-{field}-error"[^>]*>[^<]*{words}[^<]*</p>'
    scripted = await client.post(f"{here}/convert", data=form, headers=HTMX)
    assert scripted.status == status
    assert re.search(line, await scripted.text())
    plain = await client.post(f"{here}/convert", data=form)
    assert (plain.status, plain.url.path) == (200, here)
    assert re.search(line, await plain.text())
    assert (await (await client.get("/api/queue/status")).json())["total_count"] == 0


@pytest.mark.usefixtures("cheap_hashes")
async def test_those_who_may_not_manage_models_can_only_validate(client_factory: ClientFactory, tmp_path: Path) -> None:
    client = await client_factory(auth="jwt")
    server: Any = client.server
    await server.app[ACCESS].directory.add("ann", "correct horse battery", Role.USER)
    await client.post("/ui/login", data={"username": "ann", "password": "correct horse battery"})
    here = f"/ui/models/{model(client).id}"
    text = await (await client.get(here)).text()
    assert f'action="{here}/validate"' in text
    assert f'action="{here}/convert"' not in text
    assert f'action="{here}/hash"' not in text
    for path in ("convert", "hash"):
        assert (await client.post(f"{here}/{path}", data={"quantization_type": "f16"})).status == 403
    assert (await client.get(f"{here}/plan?quantization_type=f16")).status == 403
    assert sorted(path.name for path in (tmp_path / "models" / "checkpoints").glob("*.gguf")) == ["embedded.gguf"]
