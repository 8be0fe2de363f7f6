"""What a picture came from and what came of it: by the API, and on the pages."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient

from sdrest.core.principal import ANYONE
from sdrest.web.http.keys import JOBS
from tests.integration.conftest import ClientFactory
from tests.integration.pictures.generation_modes import place

Client = TestClient[Any, Any]
#: Relation, state and job of each.
Relatives = list[tuple[str, str, str]]
SMALL: dict[str, Any] = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 1, "cfg_scale": 1, "seed": 5}
AGAIN = {"prompt": "a pear", "steps": 2, "cfg_scale": 1, "seed": 3, "strength": 0.5, "width": 64, "height": 64}


@pytest.fixture(scope="session")
def shared_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ovis")
    place(folder, "ovis", "tae16")
    return folder


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.fixture
async def client(client_factory: ClientFactory) -> Client:
    return await client_factory(default_model="ovis")


async def _queued(client: Client, path: str, **sent: Any) -> str:
    """The id of a job that has ended well."""
    reply = await client.post(path, **sent)
    text = await reply.text()
    assert reply.status in {200, 202}, text
    found = re.search(r'(?:"job_id": ?|data-job=)"([^"]+)"', text)
    assert found
    assert client.app is not None
    job = await client.app[JOBS].wait(found[1], ANYONE)
    assert job.outputs, job.failure
    return str(job.id)


async def _family(client: Client, job: str, query: str = "") -> tuple[Relatives, Relatives, Any]:
    """What the first picture of a job came from, and what came of it: relation, state, and job of each."""
    reply = await client.get(f"/api/jobs/{job}/output/image_0.png/family{query}")
    answer = await reply.json()
    assert reply.status == 200, answer
    came_from, came_of = (
        [(item["relation"], item["state"], item["job_id"]) for item in answer[name]]
        for name in ("came_from", "came_of")
    )
    return came_from, came_of, answer["next"]


async def test_pictures_and_parameters_that_are_handed_on_are_remembered(client: Client) -> None:
    first = await _queued(client, "/api/generate/text2img", json={**SMALL, "batch_count": 2})
    image = f"job:{first}/image_0.png"
    changed = await _queued(client, "/api/generate/img2img", json={**AGAIN, "init_image": image})
    varied = await _queued(client, f"/api/queue/job/{first}/variations", json={"count": 1})
    closer = await _queued(client, f"/api/queue/job/{first}/variations", json={"count": 1, "strength": 0.4})
    # What was made from a picture is made from it once more.
    given = f"job:{changed}/input/init_image_0.png"
    again = await _queued(client, "/api/generate/img2img", json={**AGAIN, "seed": 4, "init_image": given})
    of_first = [
        ("init_image", "there", again),
        ("init_image", "there", closer),
        ("parameters", "there", varied),
        ("init_image", "there", changed),
    ]
    assert await _family(client, first) == ([], of_first, None)
    came_from, came_of, cursor = await _family(client, first, "?limit=3")
    assert (came_from, came_of) == ([], of_first[:3])
    assert await _family(client, first, f"?limit=3&cursor={cursor}") == ([], of_first[3:], None)
    assert await _family(client, again) == ([("init_image", "there", first)], [], None)
    assert await _family(client, varied) == ([("parameters", "there", first)], [], None)
    other = await (await client.get(f"/api/jobs/{first}/output/image_1.png/family")).json()
    assert other == {"came_from": [], "came_of": [], "next": None}
    assert (await client.get(f"/api/jobs/{first}/output/image_7.png/family")).status == 404

    page = await (await client.get(f"/ui/gallery/{first}/image_0.png")).text()
    for words in ("Came of it", "Variation", "Image to image", "data-came-of"):
        assert words in page
    assert "Came from" not in page
    page = await (await client.get(f"/ui/gallery/{changed}/image_0.png")).text()
    assert f'href="/ui/gallery/{first}/image_0.png" data-came-from' in page


async def test_what_was_deleted_stays_named_as_such(client: Client) -> None:
    first = await _queued(client, "/api/generate/text2img", json=SMALL)
    changed = await _queued(client, "/api/generate/img2img", json={**AGAIN, "init_image": f"job:{first}/0"})
    await client.post("/api/gallery/delete", json={"files": [f"{first}/image_0.png"]})
    assert (await _family(client, changed))[0] == [("init_image", "binned", first)]
    await client.delete("/api/gallery/bin")
    assert (await _family(client, changed))[0] == [("init_image", "deleted", first)]
    page = await (await client.get(f"/ui/gallery/{changed}/image_0.png/family")).text()
    assert "Was deleted" in page
    assert "data-came-from" not in page


async def test_the_form_says_what_its_pictures_and_parameters_are(client: Client) -> None:
    first = await _queued(client, "/api/generate/text2img", json=SMALL)
    drawn = await (await client.get(f"/ui/generate/txt2img?job={first}&file=image_0.png")).text()
    hidden = re.search(r'name="varied_from" value="([^"]+)"', drawn)
    assert hidden
    htmx = {"HX-Request": "true"}
    form = {
        "prompt": SMALL["prompt"],
        "width": "64",
        "height": "64",
        "steps": "2",
        "seed": "9",
        "varied_from": hidden[1],
    }
    varied = await _queued(client, "/ui/generate/txt2img", data=form, headers=htmx)
    for other in ({"prompt": "a boat"}, {"varied_from": "none/0"}, {"varied_from": f"{first}/x"}):
        made = await _queued(client, "/ui/generate/txt2img", data={**form, **other}, headers=htmx)
        assert (await _family(client, made))[0] == []
    # A picture that the canvas has changed is sent as a file.
    for reference in (f"job:{first}/image_0.png", "job:none/image_0.png", ""):
        data = FormData({"prompt": "a boat", "width": "64", "height": "64", "steps": "2", "init_image__of": reference})
        picture = await (await client.get(f"/api/jobs/{first}/output/image_0.png")).read()
        data.add_field("init_image", io.BytesIO(picture), filename="extended.png", content_type="image/png")
        made = await _queued(client, "/ui/generate/img2img", data=data, headers=htmx)
        assert (await _family(client, made))[0] == ([("init_image", "there", first)] if first in reference else [])
    came_of = (await _family(client, first))[1]
    assert [(relation, job) for relation, _, job in came_of][-1] == ("parameters", varied)
    assert len(came_of) == 2
