"""Presets and prompt templates by name: in requests, among the models, saved by route and page."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.principal import Role
from sdrest.web.http.keys import ACCESS, JOBS, MODELS
from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]
HTMX = {"HX-Request": "true"}


@pytest.fixture
async def stocked(client: Client, tmp_path: Path) -> Client:
    """A client of a server with presets and templates; its queue is paused."""
    files = {
        "presets/quick.json": {
            "steps": 3,
            "sampling_method": "heun",
            "width": 96,
            "hires": {"scale": 1.5, "strength": 0.5},
        },
        "presets/wrong.json": {"steeps": 3},
        "presets/far.json": {"steps": 5000},
        "prompts/styles.json": {"ink": "{prompt}, ink", "both": "x"},
        "prompts/pair.json": {"prompt": "photo of {prompt}", "negative_prompt": "blurry"},
    }
    for name, value in files.items():
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
    (tmp_path / "models" / "neg_prompts").mkdir()
    (tmp_path / "models" / "neg_prompts" / "usual.txt").write_text("bad hands\n", encoding="utf-8")
    await asyncio.to_thread(client.app[MODELS].refresh)
    await client.post("/api/queue/pause")
    return client


async def parameters(client: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await client.post(path, json=body)
    assert reply.status == 202, await reply.json()
    job = await client.app[JOBS].store.get((await reply.json())["job_id"])
    assert job is not None
    found: dict[str, Any] = job.parameters
    return found


async def test_the_requests_own_fields_go_before_the_presets(stocked: Client) -> None:
    body = {"prompt": "a fox", "preset": "quick", "height": 64, "hires": {"strength": 0.25}}
    found = await parameters(stocked, "/api/generate/text2img", body)
    assert (found["steps"], found["sampler"], found["width"], found["height"]) == (3, "heun", 96, 64)
    assert (found["hires"]["scale"], found["hires"]["strength"]) == (1.5, 0.25)
    own = await parameters(stocked, "/api/v1/generate/text2img", {**body, "steps": 2, "sampling_method": "euler"})
    assert (own["steps"], own["sampler"], own["width"]) == (2, "euler", 96)


async def test_templates_are_put_around_the_prompts(stocked: Client) -> None:
    body = {**SMALL, "prompt": "a fox", "prompt_template": "styles/ink", "negative_prompt_template": "usual"}
    found = await parameters(stocked, "/api/generate/text2img", body)
    assert (found["prompt"], found["negative_prompt"]) == ("a fox, ink", "bad hands")
    body = {**SMALL, "prompt": "a fox", "negative_prompt": "dark", "prompt_template": "pair"}
    found = await parameters(stocked, "/api/generate/text2img", body)
    assert (found["prompt"], found["negative_prompt"]) == ("photo of a fox", "dark, blurry")


async def test_other_routes_take_them_too(stocked: Client) -> None:
    await stocked.post("/api/queue/resume")
    reply = await stocked.post(
        "/api/v1/generate", json={"prompt": "a fox", "preset": "quick", "height": 64, "hires": {}}
    )
    made = await reply.json()
    assert reply.status == 200, made
    used = made["images"][0]["parameters"]
    assert (used["steps"], used["width"]) == (3, 96)
    checked = await stocked.post("/api/validate", json={"type": "video", "prompt": "a fox", "preset": "none"})
    assert "there are: far, quick, wrong" in (await checked.json())["errors"][0]["message"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"preset": "quik"}, "preset", "did you mean 'quick'?; there are: far, quick, wrong"),
        ({"preset": "wrong"}, "preset", "'steeps', which is no parameter; did you mean 'steps'"),
        ({"preset": "far"}, "steps", "(from the preset 'far')"),
        ({"prompt_template": "oil"}, "prompt_template", "there are: pair, styles/both, styles/ink"),
        ({"negative_prompt_template": "x"}, "negative_prompt_template", "there are: usual"),
        ({"preset": 7}, "preset", "valid string"),
    ],
)
async def test_what_does_not_exist_or_fit_is_told(
    stocked: Client, body: dict[str, Any], field: str, words: str
) -> None:
    reply = await stocked.post("/api/generate/text2img", json={"prompt": "a fox", **body})
    assert reply.status == 400
    (error,) = (await reply.json())["details"]["errors"]
    assert error["field"] == field
    assert words in error["message"]


async def test_they_are_saved_listed_and_never_overwritten_unasked(stocked: Client) -> None:
    body = {"name": "My look", "description": "calm", "parameters": {"steps": 4, "sampling_method": "Euler a"}}
    reply = await stocked.post("/api/models/presets", json=body)
    saved = await reply.json()
    assert (reply.status, saved["type"], saved["path"]) == (201, "presets", "presets/My look.json")
    listed = await (await stocked.get("/api/models?type=presets&search=look")).json()
    assert [item["id"] for item in listed["models"]] == [saved["id"]]
    detail = await (await stocked.get(f"/api/models/{saved['id']}")).json()
    assert detail["metadata"] == {"steps": "4", "sampler": "euler_a", "description": "calm"}
    assert (await parameters(stocked, "/api/generate/text2img", {"prompt": "x", "preset": "My look"}))["steps"] == 4
    assert (await stocked.post("/api/models/presets", json=body)).status == 409
    again = {**body, "parameters": {"steps": 5}, "overwrite": True}
    assert (await stocked.post("/api/models/presets", json=again)).status == 201
    assert (await parameters(stocked, "/api/generate/text2img", {"prompt": "x", "preset": "My look"}))["steps"] == 5

    text = {"name": "oil", "prompt": "oil painting of {prompt}", "negative_prompt": "photo"}
    made = await (await stocked.post("/api/models/templates", json=text)).json()
    assert made["type"] == "prompts"
    detail = await (await stocked.get(f"/api/models/{made['id']}")).json()
    assert detail["metadata"] == {"oil": "oil painting of {prompt}", "oil (negative)": "photo"}
    found = await parameters(stocked, "/api/generate/text2img", {"prompt": "x", "prompt_template": "oil"})
    assert (found["prompt"], found["negative_prompt"]) == ("oil painting of x", "photo")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("presets", {"name": "a", "parameters": {"steeps": 4}}, "parameters.steeps"),
        ("presets", {"name": "a", "parameters": {"steps": 0}}, "parameters.steps"),
        ("presets", {"name": "a", "parameters": {"init_image": "x"}}, "parameters.init_image"),
        ("presets", {"name": "../a", "parameters": {"steps": 4}}, "name"),
        ("templates", {"name": "a", "prompt": "  "}, "prompt"),
    ],
)
async def test_what_cannot_be_saved_is_refused(client: Client, path: str, body: dict[str, Any], field: str) -> None:
    reply = await client.post(f"/api/models/{path}", json=body)
    assert reply.status == 400
    assert [error["field"] for error in (await reply.json())["details"]["errors"]] == [field]


async def test_the_form_is_saved_without_scripts_too(stocked: Client, tmp_path: Path) -> None:
    form = {"prompt": "a fox", "negative_prompt": "", "steps": "7", "width": "64", "seed": "5", "save_name": "mine"}
    reply = await stocked.post("/ui/generate/txt2img/save", data={**form, "save_as": "preset"})
    assert reply.status == 200
    assert reply.url.path.startswith("/ui/models/")
    kept = json.loads((tmp_path / "models/presets/mine.json").read_text(encoding="utf-8"))
    assert kept == {"steps": 7, "width": 64, "seed": 5}
    again = await stocked.post("/ui/generate/txt2img/save", data={**form, "save_as": "preset"}, headers=HTMX)
    assert (again.status, "mine exists already" in await again.text()) == (409, True)
    shown = await (await stocked.get("/ui/generate/txt2img?preset=mine")).text()
    assert 'name="steps" value="7"' in shown
    assert (await stocked.get("/ui/generate/txt2img?preset=none")).status == 400


@pytest.mark.usefixtures("cheap_hashes")
async def test_those_who_may_not_manage_models_save_nothing(client_factory: ClientFactory, tmp_path: Path) -> None:
    client = await client_factory(auth="jwt")
    await client.app[ACCESS].directory.add("ann", "correct horse battery", Role.USER)
    await client.post("/ui/login", data={"username": "ann", "password": "correct horse battery"})
    form = {"save_name": "mine", "save_as": "preset", "steps": "3"}
    assert (await client.post("/ui/generate/txt2img/save", data=form)).status == 403
    assert "save_name" not in await (await client.get("/ui/")).text()
    assert not (tmp_path / "models" / "presets").exists()
