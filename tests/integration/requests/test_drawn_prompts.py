"""Prompts that are drawn by the seed, and the wildcards that they draw from, over the API, A1111's API and the pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.outputs.infotext import parse_infotext
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import place, submit


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """The wildcards of these tests lie elsewhere."""
    return shared_models


@pytest.fixture
async def client(client_factory: ClientFactory, tmp_path: Path) -> TestClient[Any, Any]:
    return await client_factory(wildcards=tmp_path / "wildcards")


async def test_wildcards_are_written_read_drawn_from_and_deleted(client: TestClient[Any, Any]) -> None:
    saved = await client.put("/api/wildcards/fruit/round", json={"text": "apple\ncherry\n"})
    assert (saved.status, await saved.json()) == (200, {"name": "fruit/round", "text": "apple\ncherry\n"})
    assert await (await client.get("/api/wildcards")).json() == {"wildcards": ["fruit/round"]}
    asked = {"prompt": "a {red|green} __fruit/*__", "seed": 7, "count": 20}
    told = (await (await client.post("/api/prompts/draw", json=asked)).json())["prompts"]
    assert [item["seed"] for item in told] == list(range(7, 27))
    assert {item["prompt"] for item in told} == {f"a {c} {f}" for c in ("red", "green") for f in ("apple", "cherry")}

    # What a job is made of is what its seed draws; the text before stays with it.
    job = await submit(client, "text2img", {**SMALL, "prompt": asked["prompt"], "dynamic_prompts": True})
    assert (job["params"]["prompt"], job["params"]["prompt_source"]) == (told[0]["prompt"], asked["prompt"])
    plain = await submit(client, "text2img", {**SMALL, "prompt": "{a|b}"})
    assert (plain["params"]["prompt"], plain["params"]["prompt_source"]) == ("{a|b}", "")
    chance = await submit(client, "text2img", {**SMALL, "seed": -1, "prompt": "{a|b|c}", "dynamic_prompts": True})
    drawn = {"prompt": "{a|b|c}", "seed": chance["params"]["seed"]}
    again = (await (await client.post("/api/prompts/draw", json=drawn)).json())["prompts"][0]["prompt"]
    assert chance["params"]["prompt"] == again

    shown = await (await client.get(f"/ui/jobs/{job['job_id']}")).text()
    assert told[0]["prompt"] in shown
    assert "Drawn from" in shown
    filled = await (await client.get(f"/ui/generate/txt2img?job={job['job_id']}")).text()
    assert f">{asked['prompt']}</textarea>" in filled

    script = {"Dynamic Prompts v2.17.1": {"args": [True, False, 1]}}
    body = {**SMALL, "prompt": asked["prompt"], "negative_prompt": "{x|y}", "alwayson_scripts": script}
    reply = await (await client.post("/sdapi/v1/txt2img", json=body)).json()
    info = json.loads(reply["info"])
    assert info["prompt"] == told[0]["prompt"]
    parts = parse_infotext(info["infotexts"][0])
    assert (parts["Template"], parts["Negative Template"]) == (asked["prompt"], "{x|y}")

    assert await (await client.delete("/api/wildcards/fruit/round")).json() == {"wildcards": []}
    refused = await client.post(
        "/api/generate/text2img", json={**SMALL, "prompt": "__fruit__", "dynamic_prompts": True}
    )
    assert (refused.status, (await refused.json())["details"]["errors"][0]["field"]) == (400, "prompt")


async def test_tokens_are_counted_for_models_that_read_by_clip(client_factory: ClientFactory, tmp_path: Path) -> None:
    place(tmp_path / "models", "sd1")
    client = await client_factory(models_dir=tmp_path / "models")
    for model, tokens in (("sd1", 5), ("demo", None)):
        reply = await client.post("/api/prompts/tokens", json={"prompt": "(a photo:1.2) of a cat", "model": model})
        assert (reply.status, await reply.json()) == (200, {"tokens": tokens, "piece": 75})


async def test_the_page_writes_tries_and_deletes(client: TestClient[Any, Any]) -> None:
    form = {"name": "moods", "text": "calm", "action": "save"}
    saved = await client.post("/ui/wildcards", data=form)
    assert (saved.status, str(saved.url.relative())) == (200, "/ui/wildcards?name=moods")
    assert ">calm</textarea>" in await saved.text()
    tried = await (await client.get("/ui/wildcards", params={"try": "so __moods__"})).text()
    assert "<li>so calm</li>" in tried
    wrong = await client.get("/ui/wildcards", params={"try": "so __mods__"})
    assert (wrong.status, "did you mean" in await wrong.text()) == (400, True)
    gone = await client.post("/ui/wildcards", data={**form, "action": "delete"})
    assert "None yet." in await gone.text()
    refused = await client.post("/ui/wildcards", data={**form, "name": "../up"})
    assert (refused.status, ">calm</textarea>" in await refused.text()) == (400, True)
