"""Models sent to the server: stored whole or not at all, in the right folder, never over another file."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient

from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.test_generate import finished
from tests.tiny.fixtures import cached

Client = TestClient[Any, Any]


@pytest.fixture
def model() -> bytes:
    """A tiny checkpoint that makes pictures on its own."""
    return cached("ernie").read_bytes()


async def upload(
    client: Client, data: Any, name: str = "new.gguf", prefix: str = "/api", **fields: str
) -> tuple[int, Any]:
    form = aiohttp.FormData(quote_fields=False)
    for key, value in {"type": "checkpoint", **fields}.items():
        form.add_field(key, value)
    form.add_field(
        "file",
        io.BytesIO(data) if isinstance(data, bytes) else data,
        filename=name,
        content_type="application/octet-stream",
    )
    reply = await client.post(f"{prefix}/models/upload", data=form)
    return reply.status, await reply.json()


def left_behind(folder: Path) -> list[str]:
    """Hidden files of the model folders, and notes of what is on its way."""
    hidden = [path.name for path in (folder / "models").rglob(".*")]
    return hidden + [path.name for path in (folder / "data" / "incoming").glob("*")]


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
async def test_an_uploaded_model_is_listed_and_makes_pictures(
    client: Client, model: bytes, tmp_path: Path, prefix: str
) -> None:
    sha256 = hashlib.sha256(model).hexdigest().upper()
    status, body = await upload(client, model, prefix=prefix, path="mine/fruits", sha256=sha256)
    assert status == 201, body
    assert (body["model"]["name"], body["model"]["type"]) == ("new", "checkpoint")
    assert (tmp_path / "models/checkpoints/mine/fruits/new.gguf").read_bytes() == model
    assert left_behind(tmp_path) == []
    listed = await (await client.get("/api/models", params={"search": "fruits"})).json()
    assert [item["id"] for item in listed["models"]] == [body["model"]["id"]]
    reply = await client.post("/api/generate/text2img", json={**SMALL, "model": "new"})
    job = await finished(client, (await reply.json())["job_id"])
    assert job["status"] == "completed", job


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", "new.gguf"), ("sub/", "sub/new.gguf"), ("sub/other.gguf", "sub/other.gguf"), ("v1.5", "v1.5/new.gguf")],
)
async def test_the_path_names_a_folder_a_file_or_both(
    client: Client, model: bytes, tmp_path: Path, path: str, expected: str
) -> None:
    assert (await upload(client, model, path=path))[0] == 201
    assert (tmp_path / "models/checkpoints" / expected).is_file()


@pytest.mark.parametrize(
    ("fields", "name", "status", "words"),
    [
        ({"path": "../../x.gguf"}, "new.gguf", 400, "no plain name"),
        ({"path": "/etc/x.gguf"}, "new.gguf", 400, "relative"),
        ({"path": "a/../../x.gguf"}, "new.gguf", 400, "no plain name"),
        ({"path": "..\\x.gguf"}, "new.gguf", 400, "no plain name"),
        ({"path": ".hidden.gguf"}, "new.gguf", 400, "no plain name"),
        ({"path": "x" * 300 + ".gguf"}, "new.gguf", 400, "at most"),
        ({"path": "/".join("abcdefghijklmnopqrst") + "/x.gguf"}, "new.gguf", 400, "deep"),
        ({}, "../../evil.gguf", 400, "no plain name"),
        ({}, "..\\evil.gguf", 400, "no plain name"),
        ({}, "program.exe", 400, "no ending"),
        ({"type": "chekpoint"}, "new.gguf", 400, "did you mean 'checkpoints'"),
        ({"type": ""}, "new.gguf", 400, "choose a type"),
        ({"type": "lora"}, "new.gguf", 400, "belongs in"),
        ({"sha256": "0" * 64}, "new.gguf", 400, "has the hash"),
        ({"sha256": "short"}, "new.gguf", 400, "64 hexadecimal digits"),
        ({"path": "embedded.gguf"}, "new.gguf", 409, "exists already"),
        ({"surprise": "1"}, "new.gguf", 400, "unknown field"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_field_and_leaves_nothing(
    client: Client, model: bytes, tmp_path: Path, fields: dict[str, str], name: str, status: int, words: str
) -> None:
    before = sorted((tmp_path / "models").rglob("*"))
    found, body = await upload(client, model, name, **fields)
    assert (found, words in body["error"]) == (status, True), body
    assert body.get("details", {}).get("errors") or status == 409
    assert left_behind(tmp_path) == []
    assert [path for path in sorted((tmp_path / "models").rglob("*")) if path.is_file() and path not in before] == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!doctype html><html>Sign in</html>", "a web page"),
        (b"", "empty"),
        (b"just some text, not a model at all", "neither GGUF"),
        (None, "new.gguf"),
    ],
)
async def test_what_is_no_model_is_refused(
    client: Client, model: bytes, tmp_path: Path, data: bytes | None, words: str
) -> None:
    status, body = await upload(client, model[: len(model) // 2] if data is None else data)
    assert (status, words in body["error"], ".part" in body["error"]) == (422, True, False), body
    assert left_behind(tmp_path) == []


async def test_a_link_out_of_the_folder_is_not_followed(client: Client, model: bytes, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "models/checkpoints/link").symlink_to(tmp_path / "outside")
    status, body = await upload(client, model, path="link/x.gguf")
    assert (status, "leads out" in body["error"]) == (400, True)
    assert list((tmp_path / "outside").iterdir()) == []


async def test_texts_after_the_file_and_forms_without_file_are_told_so(client: Client, model: bytes) -> None:
    late = aiohttp.FormData()
    late.add_field("file", io.BytesIO(model), filename="new.gguf")
    late.add_field("type", "checkpoint")
    reply = await client.post("/api/models/upload", data=late)
    assert (reply.status, "before the file" in (await reply.json())["error"]) == (400, True)
    empty = aiohttp.FormData(default_to_multipart=True)
    empty.add_field("type", "checkpoint")
    reply = await client.post("/api/models/upload", data=empty)
    assert (reply.status, "choose a file" in (await reply.json())["error"]) == (400, True)
    reply = await client.post("/api/models/upload", json={"type": "checkpoint"})
    assert reply.status == 400


async def test_too_large_and_too_full_are_told_before_it_is_stored(
    client_factory: ClientFactory, model: bytes, tmp_path: Path
) -> None:
    small = await client_factory(max_model_bytes=len(model) - 1)
    status, body = await upload(small, model)
    assert (status, "max_model_bytes" in body["error"]) == (413, True)

    async def chunks() -> AsyncIterator[bytes]:  # without a length, so that only counting tells
        yield model

    assert (await upload(small, chunks()))[0] == 413
    assert left_behind(tmp_path) == []
    await small.close()
    full = await client_factory(min_free_bytes=2**62, data_dir=tmp_path / "data")
    status, body = await upload(full, model)
    assert (status, "min_free_bytes" in body["error"]) == (507, True)
    assert left_behind(tmp_path) == []


async def test_an_upload_cut_off_half_way_leaves_nothing(client: Client, model: bytes, tmp_path: Path) -> None:
    server: Any = client.server
    head = (
        b'--cut\r\nContent-Disposition: form-data; name="type"\r\n\r\ncheckpoint\r\n'
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="cut.gguf"\r\n\r\n'
    )
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /api/models/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
        + f"Content-Length: {len(head) + len(model) + 9}\r\n\r\n".encode()
        + head
        + model[: len(model) // 2]
    )
    await writer.drain()
    async with asyncio.timeout(20):
        while not left_behind(tmp_path):
            await asyncio.sleep(0.01)
    writer.transport.abort()
    async with asyncio.timeout(20):
        while left_behind(tmp_path):
            await asyncio.sleep(0.01)
    assert not (tmp_path / "models/checkpoints/cut.gguf").exists()


async def test_a_form_that_ends_within_the_file_is_no_upload(client: Client, model: bytes, tmp_path: Path) -> None:
    body = (
        b'--cut\r\nContent-Disposition: form-data; name="type"\r\n\r\ncheckpoint\r\n'
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="cut.gguf"\r\n\r\n' + model
    )
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    reply = await client.post("/api/models/upload", data=io.BytesIO(body), headers=headers)
    assert (reply.status, "cannot be read" in (await reply.json())["error"]) == (400, True)
    assert left_behind(tmp_path) == []
    assert not (tmp_path / "models/checkpoints/cut.gguf").exists()


async def test_of_two_uploads_to_one_name_one_wins_whole(client: Client, model: bytes, tmp_path: Path) -> None:
    replies = await asyncio.gather(*(upload(client, model) for _ in range(3)))
    assert sorted(status for status, _ in replies) == [201, 409, 409]
    assert (tmp_path / "models/checkpoints/new.gguf").read_bytes() == model
    assert left_behind(tmp_path) == []


async def test_what_a_killed_server_left_is_removed_at_start_and_only_that(
    client_factory: ClientFactory, model: bytes, tmp_path: Path
) -> None:
    first = await client_factory()
    server: Any = first.server
    from sdrest.web.requests.uploads import INCOMING

    target = tmp_path / "models/checkpoints/never.gguf"
    incoming = await asyncio.to_thread(server.app[INCOMING].begin, target)
    await asyncio.to_thread(incoming.write, model[:1000])
    incoming.suspend()  # as the end of the process would
    await first.close()
    foreign = tmp_path / "models/checkpoints/.somebody-else.part.gguf"
    foreign.write_bytes(b"x")
    assert len(left_behind(tmp_path)) == 3
    second = await client_factory()
    assert left_behind(tmp_path) == [foreign.name]
    assert (await upload(second, model))[0] == 201


async def test_presets_and_prompts_are_read_before_they_are_stored(client: Client, tmp_path: Path) -> None:
    assert (await upload(client, b'{"steps": 4}', "quick.json", type="presets"))[0] == 201
    assert (tmp_path / "models/presets/quick.json").read_bytes() == b'{"steps": 4}'
    status, body = await upload(client, b"[1, 2]", "wrong.json", type="presets")
    assert (status, body["error"].startswith("wrong.json: a preset is")) == (422, True)
    assert left_behind(tmp_path) == []


async def test_other_kinds_go_to_their_own_folders(client: Client, tmp_path: Path) -> None:
    status, body = await upload(client, cached("esrgan").read_bytes(), "four.safetensors", type="upscaler")
    assert status == 201, body
    assert (tmp_path / "models/upscaler/four.safetensors").is_file()
