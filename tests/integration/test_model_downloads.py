"""Models fetched from other servers: gone on with after breaks, checked, confined, and only from where it is allowed."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.events import JobProgressed
from sdrest.core.principal import ANYONE
from sdrest.web.http.keys import JOBS
from tests.commands import Server, serve_tiny
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.elsewhere import Elsewhere, serving
from tests.integration.test_generate import finished
from tests.integration.test_model_uploads import left_behind
from tests.tiny.fixtures import cached

Client = TestClient[Any, Any]
Downloader = Callable[..., Awaitable[Client]]


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    async with serving(cached("ernie").read_bytes()) as server:
        yield server


@pytest.fixture
def start(client_factory: ClientFactory, elsewhere: Elsewhere) -> Downloader:
    """Starts servers that may download from :func:`elsewhere`."""

    async def make(**values: Any) -> Client:
        return await client_factory(
            **{
                "download_hosts": [elsewhere.host],
                "fetch_allowed_hosts": [elsewhere.host],
                "download_retry_seconds": 0.01,
                "hf_endpoint": elsewhere.url,
                "civitai_url": elsewhere.url,
                **values,
            }
        )

    return make


async def ask(client: Client, source: str = "", prefix: str = "/api", **fields: str) -> tuple[int, Any]:
    body = {"type": "checkpoint", **fields, **({"source": source} if source else {})}
    reply = await client.post(f"{prefix}/models/download", json=body)
    return reply.status, await reply.json()


async def download(client: Client, source: str = "", **fields: str) -> dict[str, Any]:
    """The job of a download once it has ended."""
    status, body = await ask(client, source, **fields)
    assert status == 202, body
    return await finished(client, body["job_id"])


def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "checkpoints"


async def test_a_downloaded_model_is_listed_and_makes_pictures(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    client = await start()
    server: Any = client.server
    events = server.app[JOBS].broadcast.subscribe(lambda event: isinstance(event, JobProgressed))
    elsewhere.headers = {"Content-Disposition": 'attachment; filename="../../pear.gguf"'}
    job = await download(client, f"{elsewhere.url}/away/x", sha256=elsewhere.sha256, path="fruit/")
    assert job["status"] == "completed", job
    assert (folder(tmp_path) / "fruit/pear.gguf").read_bytes() == elsewhere.body
    await nothing_left(tmp_path)
    events.close()
    told = [event.progress async for event in events]
    assert told[-1].done_bytes == told[-1].total_bytes == len(elsewhere.body)
    assert [p.done_bytes for p in told] == sorted(p.done_bytes for p in told)
    reply = await client.post("/api/generate/text2img", json={**SMALL, "model": "pear"})
    made = await finished(client, (await reply.json())["job_id"])
    assert made["status"] == "completed", made


@pytest.mark.parametrize("etag", ['"first"', 'W/"weak"'])
async def test_a_broken_connection_is_taken_up_where_it_broke(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path, etag: str
) -> None:
    client = await start()
    elsewhere.etag = etag
    elsewhere.headers = {"Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"} if etag.startswith('"') else {}
    elsewhere.breaks = iter([len(elsewhere.body) // 3] * 2)
    job = await download(client, f"{elsewhere.url}/files/pear.gguf")
    assert job["status"] == "completed", job
    assert (folder(tmp_path) / "pear.gguf").read_bytes() == elsewhere.body
    ranges = [seen.range for seen in elsewhere.seen]
    if etag.startswith('"'):
        assert [seen.if_range for seen in elsewhere.seen] == ["", etag, etag]
        assert ranges[0] == ""
        assert [int(text[6:-1]) > 0 for text in ranges[1:]] == [True, True]
    else:  # nothing tells whether the rest belongs to what is here: all of it is fetched again
        assert ranges == ["", "", ""]


async def test_with_a_known_hash_the_rest_is_enough(start: Downloader, elsewhere: Elsewhere, tmp_path: Path) -> None:
    client = await start()
    elsewhere.etag = ""
    elsewhere.breaks = iter([len(elsewhere.body) // 2])
    job = await download(client, f"{elsewhere.url}/files/pear.gguf", sha256=elsewhere.sha256)
    assert job["status"] == "completed", job
    assert elsewhere.seen[1].range.startswith("bytes=")


async def test_servers_without_ranges_send_all_of_it_again(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    client = await start()
    elsewhere.ranges = False
    elsewhere.breaks = iter([len(elsewhere.body) // 2])
    assert (await download(client, f"{elsewhere.url}/files/pear.gguf"))["status"] == "completed"
    assert (folder(tmp_path) / "pear.gguf").read_bytes() == elsewhere.body


async def test_after_too_many_breaks_it_fails_and_a_repetition_goes_on(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    client = await start()
    half = len(elsewhere.body) // 2
    elsewhere.breaks = itertools.chain([half], itertools.repeat(0, 6))
    job = await download(client, f"{elsewhere.url}/files/pear.gguf")
    assert (job["status"], job["failure"]["slug"]) == ("failed", "unavailable")
    assert [path.stat().st_size for path in folder(tmp_path).glob(".*.part.gguf")] == [half]
    elsewhere.seen.clear()
    elsewhere.breaks = iter(())
    again = await client.post(f"/ui/jobs/{job['job_id']}/retry", allow_redirects=False)
    job = await finished(client, again.headers["Location"].rpartition("/")[2])
    assert job["status"] == "completed", job
    assert [seen.range for seen in elsewhere.seen] == [f"bytes={half}-"]
    assert (folder(tmp_path) / "pear.gguf").read_bytes() == elsewhere.body
    await nothing_left(tmp_path)


async def test_a_file_that_changes_on_the_way_is_begun_again(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    client = await start(download_retry_seconds=0.3)
    elsewhere.breaks = iter([len(elsewhere.body) // 2])
    whole, elsewhere.body = elsewhere.body, bytes(len(elsewhere.body))
    status, body = await ask(client, f"{elsewhere.url}/files/pear.gguf")
    assert status == 202
    while not [path for path in folder(tmp_path).glob(".*.part.gguf") if path.stat().st_size]:
        await asyncio.sleep(0.01)
    elsewhere.body, elsewhere.etag = whole, '"second"'
    job = await finished(client, body["job_id"])
    assert job["status"] == "completed", job
    assert (folder(tmp_path) / "pear.gguf").read_bytes() == whole


async def half_way(client: Client, elsewhere: Elsewhere, tmp_path: Path, **fields: str) -> str:
    """The id of a download that stands still with some of the file on the disk."""
    elsewhere.gate.clear()
    status, body = await ask(client, f"{elsewhere.url}/files/pear.gguf", **fields)
    assert status == 202, body
    async with asyncio.timeout(20):
        while not [path for path in folder(tmp_path).glob(".*.part.gguf") if path.stat().st_size]:
            await asyncio.sleep(0.01)
    return str(body["job_id"])


async def nothing_left(tmp_path: Path) -> None:
    """Wait until all parts and notes are gone."""
    async with asyncio.timeout(20):
        while left_behind(tmp_path):
            await asyncio.sleep(0.01)


async def test_a_running_download_is_cancelled_and_its_part_removed(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    client = await start()
    job_id = await half_way(client, elsewhere, tmp_path)
    status, body = await ask(client, f"{elsewhere.url}/files/pear.gguf")
    assert (status, body["details"]["job_id"]) == (409, job_id)
    assert (await client.post("/api/queue/cancel", json={"job_id": job_id})).status == 200
    assert (await finished(client, job_id))["status"] == "cancelled"
    await nothing_left(tmp_path)
    assert not (folder(tmp_path) / "pear.gguf").exists()


async def test_a_stopped_server_goes_on_where_it_was(start: Downloader, elsewhere: Elsewhere, tmp_path: Path) -> None:
    first = await start()
    job_id = await half_way(first, elsewhere, tmp_path)
    await first.close()
    here = sum(path.stat().st_size for path in folder(tmp_path).glob(".*.part.gguf"))
    elsewhere.gate.set()
    second = await start()
    job = await finished(second, job_id)
    assert (job["status"], job["attempt"]) == ("completed", 1), job
    assert elsewhere.seen[-1].range == f"bytes={here}-"
    assert (folder(tmp_path) / "pear.gguf").read_bytes() == elsewhere.body
    await nothing_left(tmp_path)


async def test_a_waiting_download_that_was_begun_leaves_nothing_when_cancelled(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    first = await start()
    job_id = await half_way(first, elsewhere, tmp_path)
    server: Any = first.server
    await server.app[JOBS].set_paused(True, ANYONE)
    await first.close()
    second = await start()
    assert left_behind(tmp_path)
    assert (await second.post("/api/queue/cancel", json={"job_id": job_id})).status == 200
    await nothing_left(tmp_path)


async def test_a_killed_server_goes_on_where_it_was(elsewhere: Elsewhere, tmp_path: Path) -> None:
    async def serve() -> Server:
        # The address of the hub makes its host one that models may come from.
        options = ("--fetch-allowed-hosts", elsewhere.host)
        return await asyncio.to_thread(serve_tiny, tmp_path, *options, variables={"HF_ENDPOINT": elsewhere.url})

    elsewhere.gate.clear()
    with await serve() as first:
        async with httpx.AsyncClient(base_url=first.url, timeout=None) as client:
            body = {"repo_id": "owner/fruits", "filename": "sub/model.gguf", "type": "checkpoint"}
            job_id = (await client.post("/api/models/download", json=body)).raise_for_status().json()["job_id"]
            while not [path for path in folder(tmp_path).glob(".*.part.gguf") if path.stat().st_size]:
                await asyncio.sleep(0.02)
            first.kill()
    upload = folder(tmp_path) / ".feedfacecafebeef.part.gguf"
    upload.write_bytes(b"half an upload")
    note = {"part": str(upload), "target": str(folder(tmp_path) / "never.gguf")}
    (tmp_path / "data/incoming/feedfacecafebeef.json").write_text(json.dumps(note))
    elsewhere.gate.set()
    elsewhere.seen.clear()
    with await serve() as second:
        assert not upload.exists()
        async with httpx.AsyncClient(base_url=second.url, timeout=None) as client:
            while (job := (await client.get(f"/api/queue/job/{job_id}")).json())["status"] != "completed":
                assert job["status"] in {"pending", "running"}, job
                await asyncio.sleep(0.05)
        await asyncio.to_thread(second.stop)
    got = [seen for seen in elsewhere.seen if seen.path == "/files/lfs" and seen.method == "GET"]
    assert [seen.range.startswith("bytes=") for seen in got] == [True]
    assert (folder(tmp_path) / "model.gguf").read_bytes() == elsewhere.body
    await nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("path", "fields", "slug", "words"),
    [
        ("/files/pear.gguf", {"sha256": "0" * 64}, "invalid_input", "has the hash"),
        ("/files/pear.gguf", {"type": "lora"}, "invalid_input", "belongs in"),
        ("/page/model.gguf", {}, "model_unusable", "a web page"),
        ("/status/404/model.gguf", {}, "not_found", "no such file"),
        ("/status/403/model.gguf", {}, "invalid_input", "signing in"),
        ("/status/400/model.gguf", {}, "invalid_input", "400"),
        ("/files/noname", {}, "invalid_input", "no ending"),
        ("/anywhere?to=http://localhost:1/x.gguf", {}, "invalid_input", "download_hosts"),
        ("/anywhere?to=ftp://127.0.0.1/x.gguf", {}, "invalid_input", "only http"),
        ("/loop/model.gguf", {}, "invalid_input", "more than 5 redirects"),
    ],
)
async def test_what_cannot_be_had_fails_with_the_reason_and_leaves_nothing(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path, path: str, fields: dict[str, str], slug: str, words: str
) -> None:
    client = await start()
    job = await download(client, elsewhere.url + path, **fields)
    assert (job["status"], job["failure"]["slug"], words in job["error"]) == ("failed", slug, True), job
    await nothing_left(tmp_path)
    assert [item.name for item in folder(tmp_path).glob("*.gguf")] == ["embedded.gguf"]


async def test_a_redirect_into_a_private_network_is_refused(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    async with serving(elsewhere.body) as inner:
        client = await start(download_hosts=["127.0.0.1"])
        elsewhere.cdn = inner.url
        job = await download(client, f"{elsewhere.url}/away/pear.gguf")
        assert (job["status"], "private network" in job["error"]) == ("failed", True), job
        assert inner.seen == []


@pytest.mark.parametrize(
    ("source", "fields", "status", "field", "words"),
    [
        ("https://example.org/model.gguf", {}, 400, "source", "download_hosts"),
        ("http://10.0.0.1/model.gguf", {}, 400, "source", "private"),
        ("ftp://example.org/model.gguf", {}, 400, "source", "http"),
        ("nonsense", {}, 400, "source", "http"),
        ("hf:only-one-part", {}, 400, "source", "hf:owner"),
        ("civitai:latest", {}, 400, "source", "civitai:"),
        ("", {}, 400, "source", ""),
        ("HERE/files/pear.gguf", {"type": ""}, 400, "type", "choose a type"),
        ("HERE/files/pear.gguf", {"type": "chekpoints"}, 400, "type", "did you mean"),
        ("HERE/files/pear.gguf", {"sha256": "xyz"}, 400, "sha256", "64"),
        ("HERE/files/pear.gguf", {"path": "../../x.gguf"}, 400, "path", "no plain name"),
        ("HERE/files/download", {"path": "../x/"}, 400, "path", "no plain name"),
        ("HERE/files/pear.gguf", {"path": "embedded.gguf"}, 409, "", "exists already"),
        ("HERE/files/x", {"repo_id": "a/b", "filename": "c.gguf"}, 400, "source", "either"),
    ],
)
async def test_what_can_be_told_beforehand_is_told_beside_its_field(
    start: Downloader, elsewhere: Elsewhere, source: str, fields: dict[str, str], status: int, field: str, words: str
) -> None:
    client = await start(fetch_allowed_hosts=[elsewhere.host])
    found, body = await ask(client, source.replace("HERE", elsewhere.url), **fields)
    assert (found, words in body["error"]) == (status, True), body
    assert [item["field"] for item in body["details"].get("errors", ())] == ([field] if status == 400 else [])
    assert elsewhere.seen == []


async def test_private_addresses_need_the_setting(start: Downloader, elsewhere: Elsewhere) -> None:
    client = await start(fetch_allowed_hosts=[], download_hosts=["*"])
    status, body = await ask(client, f"{elsewhere.url}/files/pear.gguf")
    assert (status, "fetch_allowed_hosts" in body["error"]) == (400, True)
    status, body = await ask(client, "civitai:42", type="")
    assert (status, "fetch_allowed_hosts" in body["error"]) == (400, True)
    assert elsewhere.seen == []


async def test_too_large_and_too_full_fail_before_anything_is_kept(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    small = await start(max_model_bytes=len(elsewhere.body) - 1)
    job = await download(small, f"{elsewhere.url}/files/pear.gguf")
    assert job["failure"]["slug"] == "too_large"
    await small.close()
    full = await start(min_free_bytes=2**62)
    job = await download(full, f"{elsewhere.url}/files/pear.gguf")
    assert job["failure"]["slug"] == "insufficient_storage"
    await nothing_left(tmp_path)


@pytest.mark.parametrize("source", ["hf:owner/fruits/sub/model.gguf@v1", "PAGE", ""])
async def test_hugging_face_tells_the_hash_and_its_token_stays_there(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path, source: str
) -> None:
    async with serving(elsewhere.body) as cdn:
        client = await start(
            hf_token="hf_secret",
            download_hosts=["localhost"],
            fetch_allowed_hosts=[elsewhere.host, "localhost"],
        )
        elsewhere.cdn = cdn.url.replace("127.0.0.1", "localhost")
        fields = {} if source else {"repo_id": "owner/fruits", "filename": "sub/model.gguf"}
        source = source.replace("PAGE", f"{elsewhere.url}/owner/fruits/blob/v1/sub/model.gguf?download=true")
        job = await download(client, source, **fields)
        assert job["status"] == "completed", job
        assert (folder(tmp_path) / "model.gguf").read_bytes() == elsewhere.body
        assert {seen.authorization for seen in elsewhere.seen} == {"Bearer hf_secret"}
        assert [seen.authorization for seen in cdn.seen] == [""]
        revision = "v1" if source else "main"
        assert {seen.path for seen in elsewhere.seen} == {f"/owner/fruits/resolve/{revision}/sub/model.gguf"}
        (folder(tmp_path) / "model.gguf").unlink()
        cdn.body = cdn.body[:-1] + b"x"
        job = await download(client, source, **fields)
        assert (job["status"], "has the hash" in job["error"]) == ("failed", True)
        assert "hf_secret" not in await (await client.get("/api/config")).text()


async def test_what_hugging_face_does_not_have_is_said_so(start: Downloader, elsewhere: Elsewhere) -> None:
    client = await start()
    for source, words in (("hf:owner/other/a.gguf", "no such repository"), ("hf:owner/fruits/a.gguf", "no such entry")):
        job = await download(client, source)
        assert (job["failure"]["slug"], words in job["error"]) == ("not_found", True), job


async def test_without_its_library_hugging_face_is_refused_with_the_remedy(
    start: Downloader, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    status, body = await ask(client, "hf:owner/fruits/sub/model.gguf")
    assert (status, "pip install 'sdrest[download]'" in body["error"]) == (400, True)


@pytest.mark.parametrize(
    "source",
    ["civitai:42", "{}/models/7/pomona?modelVersionId=42", "{}/models/7", "{}/api/download/models/42?type=Model"],
)
async def test_civitai_tells_name_type_hash_and_words(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path, source: str
) -> None:
    client = await start(civitai_api_key="secret")
    job = await download(client, source.format(elsewhere.url), type="")
    assert job["status"] == "completed", job
    assert (folder(tmp_path) / "pomona_v2.gguf").read_bytes() == elsewhere.body
    listed = (await (await client.get("/api/models", params={"search": "Pomona"})).json())["models"]
    detail = await (await client.get(f"/api/models/{listed[0]['id']}")).json()
    assert detail["trigger_words"] == ["pomona"]
    assert "Fruit and nothing else" in json.dumps(detail)
    assert {seen.authorization for seen in elsewhere.seen if "/files/" not in seen.path} == {"Bearer secret"}


async def test_a_version_that_civitai_does_not_have(start: Downloader, elsewhere: Elsewhere) -> None:
    client = await start()
    job = await download(client, "civitai:43", type="")
    assert (job["failure"]["slug"], "CivitAI" in job["error"]) == ("not_found", True)
    job = await download(client, f"{elsewhere.url}/api/download/models/42?type=Pruned", type="")
    assert (job["failure"]["slug"], "pomona_v2.gguf" in job["error"]) == ("invalid_input", True)


async def test_a_type_that_civitai_contradicts_is_told_before_the_file_is_fetched(
    start: Downloader, elsewhere: Elsewhere
) -> None:
    client = await start()
    job = await download(client, "civitai:42", type="lora")
    assert (job["failure"]["slug"], "belongs in checkpoints" in job["error"]) == ("invalid_input", True)
    assert [seen.path for seen in elsewhere.seen] == ["/api/v1/model-versions/42"]
