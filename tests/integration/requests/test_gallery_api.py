"""The gallery's API: pages of files, marks, the bin, and ZIP files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient

from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def _make(client: Client, prompt: str, **fields: Any) -> str:
    reply = await client.post("/api/v1/generate", json={**SMALL, "prompt": prompt, **fields})
    assert reply.status == 200
    return str((await reply.json())["job_id"])


async def _files(client: Client, query: str = "") -> list[str]:
    return [item["id"] for item in (await (await client.get(f"/api/gallery?{query}")).json())["items"]]


async def _post(client: Client, path: str, **body: Any) -> Any:
    reply = await client.post(f"/api/gallery/{path}", json=body)
    assert reply.status == 200, await reply.text()
    return await reply.json()


async def test_files_are_listed_page_by_page_in_either_order(client: Client) -> None:
    made = [f"{await _make(client, 'a fox')}/image_0.png" for _ in range(5)]
    for order, wanted in (("newest", made[::-1]), ("oldest", made)):
        seen, cursor = [], ""
        while True:
            page = await (await client.get(f"/api/gallery?limit=2&order={order}{cursor}")).json()
            seen += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert seen == wanted


async def test_other_orders_go_on_with_what_the_page_before_said(client: Client) -> None:
    made = [await _make(client, "a fox", width=side, height=64) for side in (64, 128, 96)]
    await _post(client, "marks", files=[f"{made[1]}/image_0.png"], favourite=True)
    for order in ("size", "favourites", "model"):
        seen: list[str] = []
        query = f"limit=1&order={order}"
        while True:
            page = await (await client.get("/api/gallery", params=query)).json()
            seen += [item["job_id"] for item in page["items"]]
            if page["next"] is None:
                break
            query = f"limit=1&order={order}&cursor={quote(page['next'])}"
        assert sorted(seen) == sorted(made)
        assert seen[0] == (made[2] if order == "model" else made[1])
    for query in ("cursor=7/x", "cursor=7&order=size", "cursor=7/x&order=size", "cursor=x", "order=beauty"):
        reply = await client.get(f"/api/gallery?{query}")
        assert reply.status == 400, query
    assert (await client.get("/api/gallery?cursor=7&order=size")).status == 400


async def test_marks_are_put_on_files_sought_renamed_and_taken(client: Client) -> None:
    pair = await _make(client, "a fox", batch_size=2)
    single = await _make(client, "a boat")
    first, second, other = f"{pair}/image_0.png", f"{pair}/image_1.png", f"{single}/image_0.png"
    await _post(
        client, "marks", files=[first, other], favourite=True, add_tags=["  Sea   View "], add_albums=["Best of"]
    )
    assert await _files(client, "favourite=1") == await _files(client, "tag=sea%20view") == [other, first]
    item = (await (await client.get("/api/gallery?search=fox")).json())["items"]
    assert [(entry["id"], entry["favourite"], entry["tags"], entry["albums"]) for entry in item] == [
        (first, True, ["sea view"], ["Best of"]),
        (second, False, [], []),
    ]
    await _post(client, "marks", files=[other], favourite=False, remove_tags=["sea view"])
    assert await _files(client, "favourite=1&tag=sea view&album=Best of") == [first]
    assert await _post(client, "names", kind="album", name="Best of", new_name="Good") == {
        "tags": ["sea view"],
        "albums": ["Good"],
    }
    assert await _files(client, "album=Good") == [other, first]
    await _post(client, "names", kind="tag", name="sea view", new_name="")
    assert await (await client.get("/api/gallery/names")).json() == {"tags": [], "albums": ["Good"]}


async def test_what_cannot_be_marked_is_named(client: Client) -> None:
    job = await _make(client, "a fox")
    for body, status, told in (
        ({"files": [f"{job}/image_9.png"], "favourite": True}, 404, "image_9.png"),
        ({"files": [job], "favourite": True}, 400, "files.0"),
        ({"files": []}, 400, "files"),
        ({"files": [f"{job}/image_0.png"], "add_tags": ["a,b"]}, 400, "add_tags"),
        ({"files": [f"{job}/image_0.png"], "add_albums": ["x" * 61]}, 400, "add_albums"),
    ):
        reply = await client.post("/api/gallery/marks", json=body)
        assert reply.status == status
        assert told in await reply.text()
    reply = await client.post("/api/gallery/names", json={"kind": "tag", "name": "none", "new_name": "a"})
    assert reply.status == 404


async def test_files_go_into_the_bin_and_come_back_or_go(client: Client) -> None:
    pair = await _make(client, "a fox", batch_size=2)
    first, second = f"{pair}/image_0.png", f"{pair}/image_1.png"
    await _post(client, "marks", files=[first], favourite=True)
    url = f"/api/jobs/{pair}/output/image_0.png"
    await _post(client, "delete", files=[first, second])
    assert await _files(client) == []
    assert (await client.get(url)).status == 404
    binned = (await (await client.get("/api/gallery/bin")).json())["items"]
    assert [item["id"] for item in binned] == [first, second]
    assert binned[0]["removed_at"] > binned[0]["deleted_at"]
    await _post(client, "bin/restore", files=[first])
    assert await _files(client, "favourite=1") == [first]
    assert (await client.get(url)).status == 200
    reply = await client.delete("/api/gallery/bin", json={"files": [second]})
    assert (await reply.json())["files"] == 1
    assert (await client.get(f"/api/jobs/{pair}")).status == 200
    await _post(client, "delete", files=[first])
    assert (await (await client.delete("/api/gallery/bin")).json())["files"] == 1
    assert (await client.get(f"/api/jobs/{pair}")).status == 404


async def test_deleting_a_job_removes_it_with_all_that_is_in_the_bin(client: Client, tmp_path: Path) -> None:
    job = await _make(client, "a fox")
    await _post(client, "delete", files=[f"{job}/image_0.png"])
    assert (await client.delete(f"/api/jobs/{job}")).status == 200
    assert (await (await client.get("/api/gallery/bin")).json())["items"] == []
    assert not [*tmp_path.rglob(f"{job}/*")]


async def test_many_files_come_as_one_zip_file(client: Client) -> None:
    pair = await _make(client, "a fox", batch_size=2)
    files = [f"{pair}/image_{number}.png" for number in (1, 0, 1)]
    reply = await client.post("/api/gallery/zip", json={"files": files})
    assert reply.content_type == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(await reply.read()))
    assert archive.testzip() is None
    assert [name[-18:] for name in archive.namelist()] == [f"{pair[:8]}-image_{number}.png"[-18:] for number in (1, 0)]
    single = await client.get(f"/api/jobs/{pair}/output/image_1.png")
    assert archive.read(archive.namelist()[0]) == await single.read()
    assert (await client.post("/api/gallery/zip", json={"files": [f"{pair}/none.png"]})).status == 404
