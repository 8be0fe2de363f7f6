"""While one model computes, the files of the next job's model are asked for: its own and those of its parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.work import read_ahead
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import place, submit

OVIS = {"prompt": "a red apple", "model": "ovis", "width": 32, "height": 32, "steps": 1, "seed": 7}


async def test_the_next_jobs_files_are_read_while_the_one_before_it_computes(
    client_factory: ClientFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path / "models", "ovis", "tae16")
    asked: list[Path] = []
    monkeypatch.setattr(read_ahead, "into_page_cache", asked.append)
    monkeypatch.setattr(read_ahead, "_LEAST_SECONDS", 0)
    client = await client_factory()
    await client.post("/api/queue/pause")
    # So many that it is reported on more than once.
    first = await (await client.post("/api/generate/text2img", json={**SMALL, "steps": 150})).json()
    await client.post("/api/generate/text2img", json=OVIS)
    await client.post("/api/queue/resume")
    assert (await submit(client, "text2img", {**OVIS, "seed": 8}))["status"] == "completed"
    assert (await (await client.get(f"/api/jobs/{first['job_id']}")).json())["status"] == "completed"
    assert [path.name for path in asked] == ["ovis.gguf", "tae16.safetensors"]
