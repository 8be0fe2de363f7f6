"""A full disk costs the pictures that do not fit; nothing is lost that was accepted, no half file stays, the server answers."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sdrest.web.http.keys import ENGINES
from tests.faults.conftest import SmallDisk, fill
from tests.faults.jobs import ended, submitted, until_running, works
from tests.integration.conftest import SMALL
from tests.integration.models.test_model_uploads import upload
from tests.integration.server.elsewhere import serving
from tests.tiny.fixtures import cached


async def test_a_picture_that_does_not_fit_fails_its_job_and_leaves_no_part(
    client_factory: Any, small_disk: SmallDisk
) -> None:
    disk = small_disk(1)
    client = await client_factory(output=disk, min_free_bytes=0)
    await works(client)
    ballast = fill(disk)
    before = sorted(path.name for path in disk.rglob("*") if path.is_file())
    job = await ended(client, await submitted(client))
    assert (job["status"], job["failure"]["slug"]) == ("failed", "insufficient_storage")
    assert "full" in job["error"]
    assert sorted(path.name for path in disk.rglob("*") if path.is_file()) == before
    ballast.unlink()
    await works(client)


async def test_a_full_database_disk_refuses_new_jobs_and_keeps_the_ending_of_the_running_one(
    client_factory: Any, small_disk: SmallDisk, tmp_path: Path
) -> None:
    disk = small_disk(8)
    client = await client_factory(data_dir=disk / "data", output=tmp_path / "output", min_free_bytes=0)
    running = await submitted(client, width=256, height=256, steps=200)
    await until_running(client, running)
    ballast = fill(disk)
    reply = await client.post("/api/generate/text2img", json=SMALL)
    assert (reply.status, (await reply.json())["code"]) == (507, "insufficient_storage")
    assert (await client.get("/api/health")).status == 200
    while not client.app[ENGINES].first.idle_seconds:  # until the picture is made, and so its ending to be written
        await asyncio.sleep(0.01)
    ballast.unlink()
    # Raw pictures lie on that disk as well: the job may have failed for want of space, but its ending must be known.
    assert (await ended(client, running))["status"] in {"completed", "failed"}
    await works(client)


async def test_raw_pictures_that_do_not_fit_are_told_as_that(
    client_factory: Any, small_disk: SmallDisk, tmp_path: Path
) -> None:
    disk = small_disk(2)
    client = await client_factory(data_dir=tmp_path / "data", output=tmp_path / "output", min_free_bytes=0)
    await works(client)
    spool = tmp_path / "data" / "spool"
    subprocess.run(["mount", "--bind", str(disk), str(spool)], check=True)
    try:
        ballast = fill(disk)
        job = await ended(client, await submitted(client))
        assert (job["status"], job["failure"]["slug"]) == ("failed", "insufficient_storage")
        ballast.unlink()
        await works(client)
    finally:
        subprocess.run(["umount", "--lazy", str(spool)], check=True)


async def test_a_model_that_does_not_fit_leaves_nothing(
    client_factory: Any, small_disk: SmallDisk, tmp_path: Path
) -> None:
    disk = small_disk(5)
    model = cached("ernie").read_bytes()

    async def chunks() -> AsyncIterator[bytes]:
        yield model

    def left() -> list[str]:
        return sorted(path.name for path in disk.rglob("*") if path.is_file())

    async with serving(model) as elsewhere:
        elsewhere.tells_length = False  # so that only the disk itself says no
        client = await client_factory(
            models_dir=disk,
            min_free_bytes=0,
            default_model="",
            fetch_allowed_hosts=[elsewhere.host],
            download_hosts=["*"],
        )
        (disk / "checkpoints").mkdir()
        (disk / "checkpoints" / "first.gguf").write_bytes(model)
        before = left()
        status, body = await upload(client, chunks())
        assert (status, body["code"], "full" in body["error"]) == (507, "insufficient_storage", True), body
        assert left() == before
        asked = {"source": f"{elsewhere.url}/files/pear.gguf", "type": "checkpoint"}
        reply = await client.post("/api/models/download", json=asked)
        job = await ended(client, (await reply.json())["job_id"])
        assert (job["status"], job["failure"]["slug"]) == ("failed", "insufficient_storage")
        assert left() == before
        (disk / "checkpoints" / "first.gguf").unlink()
        assert (await upload(client, chunks()))[0] == 201
