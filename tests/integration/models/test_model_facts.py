"""A model's own page and its facts in JSON: what uses it, disk, memory, speed, notes, pictures, and a comparison."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient

from sdrest.web.http.keys import MODELS
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import place
from tests.integration.pictures.test_generate import finished
from tests.tiny.embedded import NAME

Client = TestClient[Any, Any]
HTMX = {"HX-Request": "true"}


async def facts(client: Client, name: str = NAME) -> dict[str, Any]:
    reply = await client.get(f"/api/models/{name}/facts")
    assert reply.status == 200, await reply.text()
    return dict(await reply.json())


async def test_what_is_known_of_a_model_grows_with_what_is_done_with_it(client: Client, tmp_path: Path) -> None:
    before = await facts(client)
    file = tmp_path / "models/checkpoints" / f"{NAME}.gguf"
    assert before["disk"]["own"] == file.stat().st_size + file.with_suffix(".json").stat().st_size
    assert {part["part"] for part in before["disk"]["parts"]} >= {"diffusion_model", "vae"}
    assert [size["compute"] for size in before["memory"]["sizes"]] == [None] * 3
    assert {size["verdict"] for size in before["memory"]["sizes"]} == {"fits"}
    assert (before["speed"], before["pictures"], before["used_by"]["job_count"]) == ([], [], 0)

    reply = await client.post("/api/generate", json=SMALL)
    assert reply.status == 200
    job = (await reply.json())["job_id"]
    measured = await client.post(f"/api/models/{NAME}/measure")
    assert measured.status == 202
    assert (await finished(client, (await measured.json())["job_id"]))["status"] == "completed"
    after = await facts(client)
    sizes = after["memory"]["sizes"]
    assert all(size["compute"] for size in sizes)
    assert [size["total"] for size in sizes] == sorted(size["total"] for size in sizes)
    assert after["used_by"]["jobs"] == [job]
    assert after["pictures"] == [f"job:{job}/image_0.png"]
    (speed,) = after["speed"]
    assert (speed["width"], speed["height"], speed["samples"]) == (64, 64, 1)

    page = await (await client.get(f"/ui/models/{id_of(client)}")).text()
    assert "more than" not in page
    assert "Measure (loads the model)" not in page
    assert len(page.encode()) < 60_000


def id_of(client: Client, name: str = NAME) -> str:
    server: Any = client.server
    return str(server.app[MODELS].catalogue.resolve(name).id)


async def test_notes_and_the_picture_are_kept_beside_the_model(client: Client, tmp_path: Path) -> None:
    reply = await client.post("/api/generate", json=SMALL)
    job = (await reply.json())["job_id"]
    here = f"/ui/models/{id_of(client)}"
    assert (await client.get(f"/api/models/{NAME}/preview")).status == 404
    said = await client.post(f"{here}/notes", data={"notes": "mine\r\nand <b>yours</b>"}, allow_redirects=False)
    assert (said.status, said.headers["Location"]) == (303, f"{here}#notes")
    beside = json.loads((tmp_path / "models/checkpoints" / f"{NAME}.json").read_text())
    assert beside["notes"] == "mine\nand <b>yours</b>"
    assert beside["defaults"]["steps"] == 8
    chosen = await client.post(f"{here}/preview", data={"source": f"job:{job}/image_0.png"}, allow_redirects=False)
    assert chosen.status == 303
    page = await (await client.get(here)).text()
    assert "and &lt;b&gt;yours&lt;/b&gt;</textarea>" in page
    shown = re.search(r'<img class="model-sample" src="([^"]+)"', page)
    assert shown
    picture = await client.get(shown[1].replace("&amp;", "&"))
    assert (picture.status, picture.content_type) == (200, "image/jpeg")
    assert (await (await client.get(f"/api/models/{NAME}")).json())["notes"] == "mine\nand <b>yours</b>"

    gone = await client.post(f"/api/models/{NAME}/preview", json={"source": f"job:{job}/other.png"})
    assert gone.status == 404
    builtin = await client.post("/api/models/demo/notes", json={"notes": "mine"})
    assert (builtin.status, "outside the model folders" in await builtin.text()) == (403, True)
    assert 'name="notes"' not in await (await client.get(f"/ui/models/{id_of(client, 'demo')}")).text()


async def test_parts_tell_what_takes_them(client_factory: ClientFactory, tmp_path: Path) -> None:
    place(tmp_path / "models", "ovis", "tae16")
    client = await client_factory(model_aliases={"draws": "ovis"})
    reply = await client.post("/api/generate", json={**SMALL, "model": "ovis"})
    assert reply.status == 200, await reply.text()
    main = await facts(client, "ovis")
    assert main["used_by"]["aliases"] == ["draws"]
    others = {part["part"]: part["file"] for part in main["disk"]["parts"] if part["file"]}
    assert others == {"taesd": "tae16"}
    part = await facts(client, "tae16")
    assert {(item["name"], item["component"]) for item in part["used_by"]["models"]} == {("ovis", "taesd")}
    assert part["memory"]["sizes"] == []
    page = await (await client.get(f"/ui/models/{id_of(client, 'tae16')}")).text()
    assert ">ovis</a>" in page


async def test_a_smaller_one_is_made_and_compared_without_scripts(client: Client, tmp_path: Path) -> None:
    defaults = {"width": 64, "height": 64, "steps": 2, "cfg_scale": 1.0}
    (tmp_path / f"models/checkpoints/{NAME}.json").write_text(json.dumps({"defaults": defaults}))
    await client.post("/api/models/refresh")
    here = f"/ui/models/{id_of(client)}/compare"
    first = await (await client.get(f"{here}?type=q8_0")).text()
    assert "Convert to q8_0" in first
    asked = await client.post(f"{here}/convert", data={"type": "q8_0"}, allow_redirects=False)
    assert (asked.status, asked.headers["Location"]) == (303, f"{here}?type=q8_0")
    queue = await (await client.get("/api/queue?type=convert")).json()
    (job,) = queue["items"]
    assert (await finished(client, job["job_id"]))["status"] == "completed"
    ready = await (await client.get(f"{here}?type=q8_0")).text()
    other = re.search(r'name="other" value="([^"]+)"', ready)
    assert other
    assert other[1] == id_of(client, f"{NAME}-q8_0")
    # Asked for again, nothing is converted twice.
    await client.post(f"{here}/convert", data={"type": "q8_0"})
    assert len((await (await client.get("/api/queue?type=convert")).json())["items"]) == 1
    painted = await client.post(here, data={"other": other[1], "prompt": "a cat", "seed": "5"}, allow_redirects=False)
    assert painted.status == 303, await painted.text()
    where = painted.headers["Location"]
    jobs = re.findall(r"(?:left|right)=([\w-]+)", where)
    done = [await finished(client, item) for item in jobs]
    assert [item["model"]["name"] for item in done] == [
        NAME,
        f"{NAME}-q8_0",
    ]
    # The converted file has no defaults beside it: those of the first hold for both.
    same = [{name: item["params"][name] for name in (*defaults, "seed", "prompt")} for item in done]
    assert same == [{**defaults, "seed": 5, "prompt": "a cat"}] * 2
    both = await (await client.get(where)).text()
    assert both.count("/output/image_0.png") >= 2
    assert "One over the other" in both
    assert "http-equiv" not in both
    wrong = await client.post(here, data={"other": other[1], "prompt": "a cat", "seed": "x"})
    assert (wrong.status, "whole number" in await wrong.text()) == (400, True)
