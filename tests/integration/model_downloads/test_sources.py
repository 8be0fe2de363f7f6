"""Where downloads come from: addresses that are refused, Hugging Face, CivitAI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.model_downloads.conftest import Downloader, ask, download, folder, nothing_left
from tests.integration.server.elsewhere import Elsewhere, serving


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
