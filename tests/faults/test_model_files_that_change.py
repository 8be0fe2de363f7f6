"""Model files replaced, cut or filled with noise while the server uses them."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from sdrest.web.http.keys import MODELS
from tests.faults.jobs import Client, ended, works
from tests.integration.conftest import SMALL
from tests.tiny.embedded import NAME
from tests.tiny.fixtures import cached


async def _draw(client: Client, model: str) -> tuple[int, dict[str, Any]]:
    reply = await client.post("/api/v1/generate", json={**SMALL, "model": model})
    return reply.status, await reply.json()


async def test_a_model_replaced_while_it_is_loaded_goes_on_to_work(client_factory: Any, tmp_path: Path) -> None:
    file = tmp_path / "models" / "checkpoints" / "mine.gguf"
    file.parent.mkdir(parents=True)
    shutil.copy(cached("ernie"), file)
    client = await client_factory()
    status, first = await _draw(client, "mine")
    assert status == 200
    fresh = file.with_suffix(".new")
    shutil.copy(cached("ernie"), fresh)
    fresh.rename(file)
    status, second = await _draw(client, "mine")
    assert status == 200
    assert second["images"][0]["data"] == first["images"][0]["data"]


async def test_a_model_cut_short_while_it_is_loaded_costs_an_error_and_not_the_server(
    client_factory: Any, tmp_path: Path
) -> None:
    file = tmp_path / "models" / "checkpoints" / "mine.gguf"
    file.parent.mkdir(parents=True)
    shutil.copy(cached("ernie"), file)
    client = await client_factory()
    assert (await _draw(client, "mine"))[0] == 200
    os.truncate(file, file.stat().st_size // 3)
    assert (await _draw(client, NAME))[0] == 200
    status, body = await _draw(client, "mine")
    # As long as it is still in memory it works; else the error says what is wrong with the file.
    assert status == 200 or (status in {404, 422} and body["error"]), body
    await works(client)


def _damaged(folder: Path, number: int) -> list[str]:
    """Copies of the embedded model with noise in the header, in the weights, cut, or with absurd numbers."""
    folder.mkdir(parents=True)
    original = cached("ernie").read_bytes()
    chance = random.Random(3)
    names = []
    for index in range(number):
        data = bytearray(original)
        match index % 4:
            case 0:
                del data[chance.randrange(len(data)) :]
            case 1:
                for _ in range(4):
                    data[chance.randrange(4000)] = chance.randrange(256)
            case 2:
                at = chance.randrange(16, 60_000)
                data[at : at + 8] = chance.choice((2**63, 2**32 - 1, 0, 2**40)).to_bytes(8, "little")
            case _:
                at = chance.randrange(len(data) - 4096)
                data[at : at + 4096] = chance.randbytes(4096)
        (folder / f"bad{index}.gguf").write_bytes(data)
        names.append(f"bad{index}")
    return names


async def _feeds(client_factory: Any, folder: Path, number: int) -> None:
    names = _damaged(folder / "models" / "checkpoints", number)
    client = await client_factory(max_attempts=1)
    assert client.app[MODELS].catalogue.models
    endings = []
    for name in names:
        reply = await client.post("/api/generate/text2img", json={**SMALL, "model": name})
        if reply.status == 202:
            endings.append(await ended(client, (await reply.json())["job_id"]))
        else:
            assert reply.status in {400, 404, 422}, (name, await reply.text())
        assert (await client.get("/api/health")).status == 200
    assert all(item["status"] == "completed" or item["error"] for item in endings)
    await works(client)


@pytest.mark.slow
async def test_damaged_model_files_never_end_the_server(client_factory: Any, tmp_path: Path) -> None:
    await _feeds(client_factory, tmp_path, 8)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_hundreds_of_damaged_model_files_never_end_the_server(client_factory: Any, tmp_path: Path) -> None:
    await _feeds(client_factory, tmp_path, 300)
