"""Presets and prompt templates get other names, and go."""

from __future__ import annotations

from typing import Any

from aiohttp.test_utils import TestClient

Client = TestClient[Any, Any]


async def _saved(client: Client, what: str, **body: Any) -> Any:
    reply = await client.post(f"/api/models/{what}", json=body)
    assert reply.status == 201
    return await reply.json()


async def test_presets_and_templates_are_renamed_and_removed(client: Client) -> None:
    preset = await _saved(client, "presets", name="Quick", parameters={"steps": 3})
    await _saved(client, "presets", name="Slow", parameters={"steps": 30})
    template = await _saved(client, "templates", name="Ink", prompt="in ink")
    renamed = await client.patch(f"/api/models/saved/{preset['id']}", json={"name": " Fast "})
    assert renamed.status == 200
    found = await renamed.json()
    assert found["name"] == "Fast"
    assert found["path"].endswith("Fast.json")
    for name, status in (("Slow", 409), ("../up", 400), ("", 400), ("Fast", 200)):
        reply = await client.patch(f"/api/models/saved/{found['id']}", json={"name": name})
        assert reply.status == status, name
    assert (await client.delete(f"/api/models/saved/{template['id']}")).status == 200
    assert (await client.delete(f"/api/models/saved/{template['id']}")).status == 404
    names = {item["name"] for item in (await (await client.get("/api/models?limit=100")).json())["models"]}
    assert {"Fast", "Slow"} <= names
    assert not {"Quick", "Ink"} & names


async def test_models_are_not_removed_as_if_they_were_saved_files(client: Client) -> None:
    reply = await client.delete("/api/models/saved/demo")
    assert reply.status == 400
    assert "no preset" in await reply.text()


async def test_the_page_of_a_preset_renames_and_deletes_it(client: Client) -> None:
    preset = await _saved(client, "presets", name="Quick", parameters={"steps": 3})
    page = f"/ui/models/{preset['id']}"
    assert f'action="{page}/rename"' in await (await client.get(page)).text()
    renamed = await client.post(f"{page}/rename", data={"name": "Fast"}, allow_redirects=False)
    assert renamed.status == 303
    there = renamed.headers["Location"]
    assert "Fast" in await (await client.get(there)).text()
    gone = await client.post(f"{there}/remove", allow_redirects=False)
    assert gone.headers["Location"] == "/ui/models"
    assert (await client.get(there)).status == 404
