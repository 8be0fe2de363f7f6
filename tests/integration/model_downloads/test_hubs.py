"""Searching CivitAI and Hugging Face, on twins of both: what runs, fits and may be shown; keys; failures; newer versions."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.web.http.keys import MODELS
from tests.integration.conftest import ClientFactory
from tests.integration.model_downloads.hub_twin import Twin, serving_hubs
from tests.integration.pictures.test_generate import finished
from tests.tiny.fixtures import cached

Client = TestClient[Any, Any]
Start = Callable[..., Awaitable[Client]]


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    async with serving_hubs(cached("ernie").read_bytes()) as twin:
        yield twin


@pytest.fixture
def start(client_factory: ClientFactory, twin: Twin) -> Start:
    async def make(**values: Any) -> Client:
        hubs = {"civitai_url": twin.url, "hf_endpoint": twin.url, "fetch_allowed_hosts": [twin.host]}
        return await client_factory(**{**hubs, "download_retry_seconds": 0.01, **values})

    return make


async def search(client: Client, **query: str) -> dict[str, Any]:
    reply = await client.get("/api/hubs/search", params=query)
    assert reply.status == 200, await reply.text()
    return dict(await reply.json())


def model_ids(client: Client) -> dict[str, str]:
    server: Any = client.server
    return {model.name: model.id for model in server.app[MODELS].catalogue.models}


async def test_what_runs_and_fits_is_shown_with_all_that_the_hubs_tell(start: Start, twin: Twin) -> None:
    client = await start()
    found = await search(client, query="fruit")
    civitai, hugging_face = found["models"]
    assert (found["hidden"], found["problems"]) == (2, [])
    assert found["cursors"] == {"civitai": "more", "huggingface": "onwards"}
    assert (civitai["hub"], civitai["name"], civitai["family"], civitai["runs"]) == ("civitai", "Pomona", "sdxl", "yes")
    assert civitai["licence"] == "CivitAI: commercial use: Image, Rent; credit required"
    assert civitai["trigger_words"] == ["pomona"]
    assert [(file["name"], file["source"], file["type"]) for file in civitai["files"]] == [
        ("pomona_v2.gguf", "civitai:42", "checkpoints")
    ]
    assert civitai["files"][0]["sha256"] == twin.sha256
    assert (hugging_face["id"], hugging_face["family"], hugging_face["gated"]) == ("owner/fruits", "flux", True)
    assert (hugging_face["licence"], hugging_face["trigger_words"]) == ("apache-2.0", ["pomona style"])
    (file,) = hugging_face["files"]
    assert (file["name"], file["type"], file["size"]) == ("sub/model.gguf", "diffusion_models", len(twin.body))
    assert file["source"] == f"{twin.url}/owner/fruits/resolve/main/sub/model.gguf"
    sent = twin.queries[0]
    assert {"query": sent["query"], "nsfw": sent["nsfw"]} == {"query": ["fruit"], "nsfw": ["false"]}

    everything = await search(client, query="fruit", hub="civitai", runs="false", fits="false")
    assert {item["name"]: (item["runs"], item["fits"]) for item in everything["models"]} == {
        "Pomona": ("yes", "yes"),
        "Colossus": ("yes", "no"),
        "Hunyuan thing": ("no", "yes"),
    }
    second = await search(client, query="fruit", civitai_cursor="more")
    assert [item["name"] for item in second["models"]] == ["Page two"]
    assert twin.queries[-1]["cursor"] == ["more"]
    wrong = await client.get("/api/hubs/search", params={"query": "a", "type": "lorra"})
    assert (wrong.status, "lora" in await wrong.text()) == (400, True)


async def test_pictures_are_filtered_by_rating_copied_once_and_never_fetched_by_address(
    start: Start, twin: Twin
) -> None:
    client = await start(civitai_api_key="civitai-secret", hf_token="hf-secret")
    found = await search(client, query="fruit")
    (mild,) = found["models"][0][
        "previews"
    ]  # neither the explicit one, nor the one that nobody has rated, nor the film
    for _ in range(2):
        picture = await client.get(mild)
        assert (picture.status, picture.content_type) == (200, "image/jpeg")
    assert twin.pictures == 1
    assert [seen.authorization for seen in twin.seen if "/pictures/" in seen.path] == [""]
    assert {seen.authorization for seen in twin.seen if seen.path.startswith("/api/v1/")} == {"Bearer civitai-secret"}
    assert {seen.authorization for seen in twin.seen if seen.path.startswith("/api/models")} == {"Bearer hf-secret"}
    unknown = await client.get("/api/hubs/previews/" + "0" * 32)
    assert unknown.status == 404

    await client.close()
    bold = await start(hub_rating="x")
    assert len((await search(bold, query="fruit"))["models"][0]["previews"]) == 2
    assert [asked["nsfw"] for asked in twin.queries if "nsfw" in asked] == [["false"], ["true"]]


@pytest.mark.parametrize(
    ("status", "words"), [(401, "civitai_api_key"), (429, "asked too often"), (500, "CivitAI answered 500")]
)
async def test_a_hub_that_fails_is_told_and_the_other_one_shown(
    start: Start, twin: Twin, status: int, words: str
) -> None:
    client = await start()
    twin.fails = [status]
    reply = await client.get("/ui/models/hubs", params={"sent": "1", "query": "fruit", "hub": "civitai"})
    assert (reply.status, words in await reply.text()) == (200, True)
    both = await search(client, query="fruit")
    assert (len(both["models"]), both["problems"]) == (2, [])


async def test_without_a_network_the_page_says_so(client_factory: ClientFactory) -> None:
    nowhere = "http://127.0.0.1:9"
    client = await client_factory(civitai_url=nowhere, hf_endpoint=nowhere, fetch_allowed_hosts=["127.0.0.1:9"])
    found = await search(client, query="fruit")
    assert found["models"] == []
    assert [problem.partition(" cannot be reached")[0] for problem in found["problems"]] == ["CivitAI", "Hugging Face"]
    page = await client.get("/ui/models/hubs?sent=1&query=fruit")
    assert (page.status, "CivitAI cannot be reached" in await page.text()) == (200, True)
    # Set to an address in a private network that nobody has allowed, nothing is sent there.
    await client.close()
    guarded = await client_factory(civitai_url="http://10.0.0.1", hf_endpoint="http://10.0.0.1")
    assert all("private network" in problem for problem in (await search(guarded, query="fruit"))["problems"])


async def test_a_model_found_is_downloaded_without_scripts_and_its_origin_kept(
    start: Start, twin: Twin, tmp_path: Path
) -> None:
    client = await start()
    page = await (await client.get("/ui/models/hubs?sent=1&fitting=on&query=fruit")).text()
    assert len(page.encode()) < 60_000
    forms = re.findall(
        r'name="download.source" value="([^"]+)"><input type="hidden" name="download.type" value="([^"]+)"><input type="hidden" '
        r'name="download.sha256" value="([^"]*)"',
        page,
    )
    assert len(forms) == 2
    for source, kind, sha256 in forms:
        form = {"download.source": source, "download.type": kind, "download.sha256": sha256}
        asked = await client.post("/ui/models/download", data=form, allow_redirects=False)
        assert asked.status == 303, await asked.text()
        job = await finished(client, asked.headers["Location"].rpartition("/")[2])
        assert job["status"] == "completed", job
    info = json.loads((tmp_path / "models/checkpoints/pomona_v2.civitai.info").read_text())
    assert info["licence"] == "CivitAI: commercial use: Image, Rent; credit required"
    told = await (await client.get("/api/models/pomona_v2")).json()
    assert (told["licence"], told["trigger_words"]) == (info["licence"], ["pomona"])
    kept = json.loads((tmp_path / "models/diffusion_models/model.metadata.json").read_text())
    assert kept["source"] == {
        "hub": "huggingface",
        "repository": "owner/fruits",
        "file": "sub/model.gguf",
        "sha256": twin.sha256,
    }
    assert (kept["licence"], kept["trigger_words"]) == ("apache-2.0", ["pomona style"])
    here = await search(client, query="fruit")
    assert [item["here"] for item in here["models"]] == [True, True]

    # Nothing is newer, until there is.
    now = await (await client.get("/api/hubs/updates")).json()
    assert {item["name"]: (item["newer"], item["problem"]) for item in now["models"]} == {
        "pomona_v2": (None, ""),
        "model": (None, ""),
    }
    twin.newest, twin.lfs_sha256 = 50, "d" * 64
    later = await (await client.get("/api/hubs/updates")).json()
    assert {item["name"]: item["newer"]["source"] for item in later["models"]} == {
        "pomona_v2": "civitai:50",
        "model": f"{twin.url}/owner/fruits/resolve/main/sub/model.gguf",
    }
    shown = await (await client.get("/ui/models/hubs/updates")).text()
    assert 'value="civitai:50"' in shown
    twin.fails = [500, 500]
    failed = await (await client.get("/api/hubs/updates")).json()
    assert all("answered 500" in item["problem"] for item in failed["models"])


async def test_a_file_of_unknown_origin_is_known_by_its_hash(start: Start, twin: Twin) -> None:
    client = await start()
    ids = model_ids(client)
    page = await (await client.get(f"/ui/models/hubs/updates?model={ids['embedded']}")).text()
    assert "Where embedded came from is not known, nor its hash" in page
    job = (await (await client.post("/api/models/hash", json={"model": "embedded"})).json())["job_id"]
    assert (await finished(client, job))["status"] == "completed"
    found = await (await client.get("/api/hubs/updates", params={"model": "embedded"})).json()
    assert found["models"][0]["newer"]["source"] == "civitai:42"
    assert any(seen.path.endswith(f"/by-hash/{twin.sha256}") for seen in twin.seen)


async def test_the_key_is_not_told_to_where_a_site_says_that_its_files_are(start: Start, twin: Twin) -> None:
    async with serving_hubs(twin.body) as other:
        client = await start(civitai_api_key="civitai-secret", fetch_allowed_hosts=[twin.host, other.host],
                             download_hosts=[other.host])  # fmt: skip
        own = twin.version()
        own["files"][1]["downloadUrl"] = f"{other.url}/files/model"
        twin.version = lambda: own  # type: ignore[method-assign]
        job = (await (await client.post("/api/models/download", json={"source": "civitai:42"})).json())["job_id"]
        assert (await finished(client, job))["status"] == "completed"
        assert [seen.authorization for seen in other.seen] == [""]
        assert any(seen.authorization == "Bearer civitai-secret" for seen in twin.seen)


@pytest.mark.usefixtures("cheap_hashes")
async def test_only_those_who_manage_models_may_search(start: Start, twin: Twin) -> None:
    client = await start(auth="jwt")
    for path in ("/api/hubs/search?query=a", "/api/hubs/updates", "/api/hubs/previews/0"):
        assert (await client.get(path)).status in {401, 403}
    assert twin.seen == []
