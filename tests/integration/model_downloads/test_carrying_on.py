"""Downloads that break, stop, are cancelled or killed: taken up where they were, leaving nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdrest.core.events import JobProgressed
from sdrest.core.principal import ANYONE
from sdrest.web.http.keys import JOBS
from tests.commands import Server, serve_tiny
from tests.integration.conftest import SMALL
from tests.integration.model_downloads.conftest import Client, Downloader, ask, download, folder, nothing_left
from tests.integration.models.test_model_uploads import left_behind
from tests.integration.pictures.test_generate import finished
from tests.integration.server.elsewhere import Elsewhere


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
