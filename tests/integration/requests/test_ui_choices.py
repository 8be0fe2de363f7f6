"""What the Generate page offers: what fits the chosen model, what a job had, and what can be done here."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.principal import Role
from sdrest.registry.model_sets import shipped_sets
from sdrest.web.http.keys import ACCESS
from tests.integration.conftest import ClientFactory
from tests.integration.pictures.generation_modes import base64_png, half_mask, picture, place, submit

Client = TestClient[Any, Any]
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="session")
def shared_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of three families, with a LoRA for each of two."""
    folder = tmp_path_factory.mktemp("choices")
    place(folder, "ovis", "tae16", "sd1_tiny", "ernie_lora", "ovis_lora", "embedding")
    (folder / "lora" / "grey.safetensors").write_bytes(
        resources.files("sdrest").joinpath("assets/demo-lora.safetensors").read_bytes()
    )
    return folder


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def _text(client: Client, address: str, **kwargs: Any) -> str:
    reply = await client.get(address, **kwargs)
    assert reply.status == 200, await reply.text()
    return await reply.text()


def _options(text: str, name: str) -> list[str]:
    """Values of the options of the first select of a name."""
    found = re.search(rf'<select[^>]* ?name="{name}".*?</select>', text, re.DOTALL)
    return re.findall(r'<option value="([^"]*)"', found[0]) if found else []


async def test_loras_are_offered_by_what_they_fit_not_by_what_they_are_taken_for(client: Client) -> None:
    assert "grey" in _options(await _text(client, "/ui/?model=demo"), "lora_name")
    assert "ovis_lora" not in _options(await _text(client, "/ui/?model=demo"), "lora_name")
    assert _options(await _text(client, "/ui/?model=embedded"), "lora_name") == ["", "ernie_lora"]
    assert _options(await _text(client, "/ui/?model=ovis"), "lora_name") == ["", "ovis_lora"]


async def test_the_lists_follow_when_another_model_is_picked_and_a_stray_choice_stays_visible(client: Client) -> None:
    query = {"model": "ovis", "lora_name": "ernie_lora", "lora_multiplier": "0.5", "taesd_model": ""}
    text = await _text(client, "/ui/generate/txt2img/model", params=query, headers=HTMX)
    assert _options(text, "lora_name") == ["", "ernie_lora", "ovis_lora"]
    assert "ernie_lora (does not fit this model)" in text
    assert "tae16" in _options(text, "taesd_model")
    assert re.search(r'id="f-clip_l_model-field"[^>]* hidden', text)
    assert ">tinyword<" not in text
    other = await _text(client, "/ui/generate/txt2img/model", params={"model": "sd1_tiny"}, headers=HTMX)
    assert ">tinyword<" in other
    assert _options(other, "taesd_model") == [""]


async def test_reuse_keeps_a_lora_that_does_not_fit_the_model_any_more(client: Client) -> None:
    job = await submit(
        client, "text2img", {"prompt": "x", "model": "ovis", "width": 32, "height": 32, "steps": 1, "cfg_scale": 1,
                             "loras": [{"name": "ovis_lora", "multiplier": 0.5}]}
    )  # fmt: skip
    text = await _text(client, f"/ui/generate/txt2img?job={job['job_id']}&model=embedded")
    assert '<option value="ovis_lora" selected>ovis_lora (does not fit this model)</option>' in text


@pytest.mark.parametrize(
    ("route", "mode", "names", "fields"),
    [
        ("img2img", "img2img", ["init_image"], ["init_image"]),
        ("inpainting", "inpaint", ["source_image", "mask_image"], ["init_image", "mask_image"]),
    ],
)
async def test_reuse_leads_to_the_jobs_own_tab_with_its_pictures(
    client: Client, route: str, mode: str, names: list[str], fields: list[str]
) -> None:
    given = {"init_image": base64_png(picture(32, 32)), "mask_image": base64_png(half_mask(32, 32))}
    body = {"prompt": "a red circle", "model": "ovis", "steps": 2, "cfg_scale": 1, "seed": 5}
    job = await submit(client, route, body | {name: given[field] for name, field in zip(names, fields, strict=True)})
    address = f"/ui/gallery/{job['job_id']}/image_0.png"
    reuse = re.search(rf'href="(/ui/generate/{mode}\?job=[^"]*)"', await _text(client, address))
    assert reuse
    form = await _text(client, reuse[1].replace("&amp;", "&"))
    references = dict(re.findall(r'name="(\w+)__ref" value="([^"]+)"', form))
    assert set(references) == set(fields)
    shown = await client.get(f"/ui/jobs/{job['job_id']}/input/init_image_0.png")
    assert shown.content_type == "image/png"
    again = await client.post(
        f"/ui/generate/{mode}",
        data={"prompt": "a red circle", "model": "ovis", "steps": "2", "cfg_scale": "1", "seed": "5", "width": "32", "height": "32",
              **{f"{name}__ref": value for name, value in references.items()}},
        allow_redirects=False,
    )  # fmt: skip
    assert again.status == 303, await again.text()
    for file in ("../image_0.png", "none.png"):
        assert (await client.get(f"/ui/jobs/{job['job_id']}/input/{file}")).status == 404


async def test_a_result_goes_on_with_its_own_prompt(client: Client) -> None:
    job = await submit(client, "text2img", {"prompt": "a blue fox", "width": 64, "height": 64, "steps": 1})
    card = await _text(client, f"/ui/jobs/{job['job_id']}", headers=HTMX)
    link = re.search(r'href="(/ui/generate/img2img\?[^"]*)"', card)
    assert link
    text = await _text(client, link[1].replace("&amp;", "&"))
    assert ">a blue fox</textarea>" in text
    assert f'value="job:{job["job_id"]}/image_0.png"' in text
    variations = re.search(r'href="([^"]*batch_count=4)"', card)
    assert variations
    assert 'name="seed" value="-1"' in await _text(client, variations[1].replace("&amp;", "&"))


@pytest.mark.parametrize(
    ("address", "lack"),
    [("upscale", "an upscaler"), ("controlnet", "a ControlNet for this model"), ("video", "a video model")],
)
async def test_a_tab_says_what_it_cannot_do_without_and_where_to_get_it(
    client: Client, address: str, lack: str
) -> None:
    text = await _text(client, f"/ui/generate/{address}")
    assert f"Not here yet: {lack}" in text
    assert '<a href="/ui/models">Add one' in text


async def test_a_paused_queue_is_told_where_pictures_are_asked_for(client: Client) -> None:
    assert (await client.post("/api/queue/pause")).status == 200
    assert "The queue is paused" in await _text(client, "/ui/")
    form = {"prompt": "x", "width": "64", "height": "64", "steps": "1"}
    reply = await client.post("/ui/generate/txt2img", data=form, headers=HTMX)
    assert "queue is paused" in await reply.text()


async def test_who_may_only_look_is_offered_nothing_else(client_factory: ClientFactory, cheap_hashes: None) -> None:
    client = await client_factory(auth="jwt")
    server: Any = client.server
    await server.app[ACCESS].directory.add("vera", "correct horse battery", Role.VIEWER)
    await client.post("/ui/login", data={"username": "vera", "password": "correct horse battery"})
    text = await _text(client, "/ui/", headers={"Accept": "text/html"})
    assert "You may look at everything here" in text
    assert re.search(r'<button id="submit"[^>]* disabled>', text)
    models = await _text(client, "/ui/models", headers={"Accept": "text/html"})
    model = re.search(r'href="(/ui/models/[^"]+)"', models)
    assert model
    assert "Validate" not in await _text(client, model[1], headers={"Accept": "text/html"})
    refused = await client.post("/ui/generate/txt2img", data={"prompt": "x"}, headers=HTMX)
    assert refused.status == 403
    assert "needs the permission &#39;generate&#39;" in await refused.text()


async def test_the_built_in_model_says_what_it_draws_and_offers_samples_until_something_was_made(
    client: Client,
) -> None:
    text = await _text(client, "/ui/?model=demo")
    assert re.search(r"A toy that draws \d+ things", text)
    samples = re.findall(r'<button name="prompt" value="([^"]+)" data-sample><img src="([^"]+)"', text)
    assert len(samples) == 8
    known = set((await (await client.get("/api/models/demo/words")).json())["words"])
    for prompt, picture_of_it in samples:
        assert set(prompt.split()) <= known
        assert (await client.get(picture_of_it)).content_type == "image/webp"
    assert "A toy that draws" not in await _text(client, "/ui/?model=embedded")
    await submit(client, "text2img", {"prompt": "x", "width": 64, "height": 64, "steps": 1})
    assert "data-sample" not in await _text(client, "/ui/?model=demo")
    words = await _text(client, "/ui/demo-words")
    assert "model=demo&amp;prompt=cat" in words
    assert ">cat</textarea>" in await _text(client, "/ui/generate/txt2img?model=demo&prompt=cat")


async def test_models_to_begin_with_are_offered_with_what_they_need(client: Client) -> None:
    text = await _text(client, "/ui/models")
    assert "Models to begin with" in text
    offered = set(re.findall(r'action="/ui/models/pull"><input type="hidden" name="set" value="([^"]+)"', text))
    assert offered
    assert offered <= {item.name for item in shipped_sets()}
    assert re.search(r"needs about [\d.]+ GB of memory", text)


async def test_users_change_their_own_password_and_make_keys_for_themselves(
    client_factory: ClientFactory, cheap_hashes: None
) -> None:
    client = await client_factory(auth="jwt")
    server: Any = client.server
    await server.app[ACCESS].directory.add("ann", "correct horse battery", Role.USER)
    await server.app[ACCESS].directory.add("bob", "correct horse battery", Role.USER)
    await client.post("/ui/login", data={"username": "ann", "password": "correct horse battery"})
    html = {"Accept": "text/html"}
    assert ">ann</a>" in await _text(client, "/ui/account", headers=html)
    wrong = await client.post(
        "/ui/account", data={"action": "create", "current": "wrong", "name": "mine"}, headers=html
    )
    assert wrong.status == 401
    assert "mine" not in [key.name for key in await server.app[ACCESS].authentication.api_keys.list()]
    form = {"current": "correct horse battery"}
    made = await (await client.post("/ui/account", data={**form, "action": "create", "name": "mine"})).text()
    key = re.search(r'id="new-key">([^<]+)<', made)
    assert key
    who = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {key[1]}"})
    assert who.status == 200, await who.text()
    keys = server.app[ACCESS].authentication.api_keys
    other, _ = await keys.create("bobs", owner="bob", permissions=frozenset())
    refused = await client.post("/ui/account", data={**form, "action": "revoke", "key": other.id})
    assert refused.status == 404
    mine = next(item for item in await keys.list() if item.name == "mine")
    await client.post("/ui/account", data={**form, "action": "revoke", "key": mine.id})
    assert [item.name for item in await keys.list()] == ["bobs"]
    changed = await client.post("/ui/account", data={**form, "action": "password", "password": "a new long password"})
    assert changed.status == 200
    assert changed.url.path == "/ui/account"
    again = await client.post("/ui/login", data={"username": "ann", "password": "correct horse battery"})
    assert again.status == 401
