"""Pulling model sets from a twin of their hosts: parts shared, digests verified or noted, unfinished pulls gone on with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sdrest.cli.sdrest import main
from sdrest.registry.model_sets import Choice, SetFile
from sdrest.work.downloads.model_sets import ModelSets
from tests.commands import SDREST, environment
from tests.integration.model_downloads.conftest import Client, Downloader, folder
from tests.integration.pictures.test_generate import finished
from tests.integration.server.elsewhere import Elsewhere


def catalogue(elsewhere: Elsewhere, tmp_path: Path, *, sha256: str = "", size: int | None = None) -> str:
    """A catalogue of two sets that share a file, at the twin; its path."""
    known = {"size": len(elsewhere.body) if size is None else size, "sha256": sha256 or elsewhere.sha256}
    files = {
        name: {"part": "checkpoint", "url": f"{elsewhere.url}/files/{name}.gguf", **known}
        for name in ("large", "small", "shared")
    }
    files["unknown"] = {
        "part": "checkpoint",
        "url": f"{elsewhere.url}/files/unknown.gguf",
        "size": "unknown",
        "sha256": "unknown",
    }
    about = {"title": "Fruit", "about": "For tests", "licence": "MIT"}
    sets = {
        "fruit": {
            **about,
            "files": ["shared"],
            "choices": {"q8_0": ["large"], "q4_0": ["small"]},
            "defaults": {"steps": 3},
        },
        "nut": {**about, "files": ["shared"]},
        "mystery": {**about, "files": ["unknown"]},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({"version": 1, "files": files, "sets": sets}))
    return str(path)


async def pull(client: Client, name: str, **body: str) -> tuple[int, Any]:
    reply = await client.post(f"/api/model-sets/{name}/pull", json=body)
    return reply.status, await reply.json()


async def ended(client: Client, pulled: Any) -> list[dict[str, Any]]:
    return [await finished(client, file["job_id"]) for file in pulled["files"] if file["job_id"]]


async def test_a_set_is_pulled_whole_and_what_another_shares_is_not_fetched_again(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    elsewhere.gate.set()
    client = await start(model_sets=[catalogue(elsewhere, tmp_path)])
    listed = await (await client.get("/api/model-sets")).json()
    fruit = next(item for item in listed["sets"] if item["name"] == "fruit")
    assert (fruit["chosen"], fruit["choices"][0]["here"]) == ("q8_0", False)
    assert len(listed["sets"]) > 25

    status, body = await pull(client, "fruit")
    assert status == 202, body
    assert (body["quantisation"], "of memory" in body["reason"]) == ("q8_0", True)
    jobs = await ended(client, body)
    assert [job["status"] for job in jobs] == ["completed"] * 2, jobs
    assert all((folder(tmp_path) / name).is_file() for name in ("large.gguf", "shared.gguf"))
    assert json.loads((folder(tmp_path) / "large.metadata.json").read_text()) == {"defaults": {"steps": 3}}

    status, body = await pull(client, "nut")
    assert (status, [file["job_id"] for file in body["files"]]) == (202, [None])
    assert sorted({seen.path for seen in elsewhere.seen}) == ["/files/large.gguf", "/files/shared.gguf"]
    status, body = await pull(client, "fruit", quantisation="q4_0")
    assert [file["name"] for file in body["files"] if file["job_id"]] == ["small.gguf"]
    await ended(client, body)


async def test_a_shared_part_on_its_way_is_waited_for(start: Downloader, elsewhere: Elsewhere, tmp_path: Path) -> None:
    client = await start(model_sets=[catalogue(elsewhere, tmp_path)])
    _, first = await pull(client, "nut")
    status, second = await pull(client, "nut")
    assert (status, second["files"]) == (202, first["files"])
    elsewhere.gate.set()
    await ended(client, first)
    assert len(elsewhere.seen) == 1


async def test_a_file_that_comes_while_its_set_is_pulled_is_here(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start(model_sets=[catalogue(elsewhere, tmp_path)])
    before = ModelSets.missing

    def missing(sets: ModelSets, choice: Choice) -> tuple[SetFile, ...]:
        found = before(sets, choice)
        (folder(tmp_path) / "shared.gguf").write_bytes(elsewhere.body)
        return found

    monkeypatch.setattr(ModelSets, "missing", missing)
    status, body = await pull(client, "nut")
    assert (status, [file["job_id"] for file in body["files"]]) == (202, [None]), body
    assert elsewhere.seen == []


async def test_a_file_of_another_digest_is_refused_and_one_of_another_size_is_no_part_of_the_set(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    elsewhere.gate.set()
    client = await start(model_sets=[catalogue(elsewhere, tmp_path, sha256="0" * 64)])
    _, body = await pull(client, "nut")
    [job] = await ended(client, body)
    assert (job["status"], "has the hash" in job["error"]) == ("failed", True)
    assert not (folder(tmp_path) / "shared.gguf").exists()

    (folder(tmp_path) / "shared.gguf").write_bytes(b"something else")
    status, body = await pull(client, "nut")
    assert (status, "another file" in body["error"]) == (409, True)


async def test_an_unknown_digest_is_told_noted_and_compared_the_next_time(
    start: Downloader, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    elsewhere.gate.set()
    client = await start(model_sets=[catalogue(elsewhere, tmp_path)])
    _, body = await pull(client, "mystery")
    assert [file["hash_compared"] for file in body["files"]] == [False]
    [job] = await ended(client, body)
    assert (job["status"], elsewhere.sha256 in job["warnings"][0]) == ("completed", True), job

    (folder(tmp_path) / "unknown.gguf").unlink()
    elsewhere.body, elsewhere.etag = elsewhere.body + b"more", '"second"'
    _, body = await pull(client, "mystery")
    assert [file["hash_compared"] for file in body["files"]] == [True]
    [job] = await ended(client, body)
    assert (job["status"], "has the hash" in job["error"]) == ("failed", True), job


async def test_what_cannot_be_pulled_is_told(start: Downloader, elsewhere: Elsewhere, tmp_path: Path) -> None:
    client = await start(model_sets=[catalogue(elsewhere, tmp_path), str(tmp_path / "nowhere.yaml")])
    status, body = await pull(client, "z-image-turb")
    assert (status, "z-image-turbo" in body["error"], "nowhere.yaml" in body["error"]) == (404, True, True)
    status, body = await pull(client, "fruit", quantisation="q1")
    assert (status, body["details"]["errors"][0]["field"]) == (400, "quantisation")


async def test_a_catalogue_at_an_address_is_fetched(start: Downloader, elsewhere: Elsewhere, tmp_path: Path) -> None:
    text = Path(catalogue(elsewhere, tmp_path)).read_bytes()
    elsewhere.body = text
    elsewhere.gate.set()
    client = await start(model_sets=[f"{elsewhere.url}/files/sets.yaml"], download_hosts=[])
    listed = await (await client.get("/api/model-sets")).json()
    assert ("fruit" in {item["name"] for item in listed["sets"]}, listed["problems"]) == (True, []), listed["problems"]


async def test_the_models_page_pulls_a_set(start: Downloader, elsewhere: Elsewhere, tmp_path: Path) -> None:
    client = await start(model_sets=[catalogue(elsewhere, tmp_path)])
    page = await (await client.get("/ui/models")).text()
    assert '<option value="fruit">Fruit · q8_0 · needs about' in page
    # The cards of the first minute are sets of the catalogue, too.
    assert '<input type="hidden" name="set" value="sdxl">' in page
    assert "Stable Diffusion 1.5</h3>" in page
    assert "Small and quick, with more LoRAs than any other; 512 px · CreativeML Open RAIL-M" in page
    reply = await client.post("/ui/models/pull", data={"set": "nut"}, allow_redirects=False)
    assert (reply.status, reply.headers["Location"]) == (303, "/ui/models")
    reply = await client.post("/ui/models/pull", data={"set": "ghost"})
    assert (reply.status, "there is no model set" in await reply.text()) == (404, True)
    elsewhere.gate.set()
    _, body = await pull(client, "nut")
    await ended(client, body)


async def test_the_command_goes_on_where_an_earlier_one_was_cut_off(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.gate.clear()
    arguments = [
        *("pull", "nut", "--models-dir", str(tmp_path / "models"), "--data-dir", str(tmp_path / "data")),
        *("--model-sets", catalogue(elsewhere, tmp_path), "--download-hosts", elsewhere.host),
        *("--fetch-allowed-hosts", elsewhere.host),
    ]
    first = await asyncio.create_subprocess_exec(*SDREST, *arguments, cwd=tmp_path, env=environment())
    try:
        # The other half is held back: what has come lies on the disk, and the command can only wait.
        while not [path for path in tmp_path.glob("models/checkpoints/.*.part.gguf") if path.stat().st_size]:
            assert first.returncode is None
            await asyncio.sleep(0.05)
    finally:
        first.kill()
        await first.wait()
    elsewhere.gate.set()
    done = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert done.exit_code == 0, done.output
    assert "shared.gguf" in done.output
    whole, rest = [seen.range for seen in elsewhere.seen]
    assert (whole, rest.startswith("bytes=")) == ("", True)
    assert 0 < int(rest.removeprefix("bytes=").removesuffix("-")) <= len(elsewhere.body) // 2
    assert (tmp_path / "models/checkpoints/shared.gguf").read_bytes() == elsewhere.body
