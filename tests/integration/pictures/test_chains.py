"""Pictures made from pictures of jobs that have not made them yet, from HTTP to the real library, on the tiny OVIS model."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.core.principal import ANYONE
from sdrest.web.http.keys import JOBS
from tests.integration.conftest import ClientFactory
from tests.integration.pictures.generation_modes import place

Client = TestClient[Any, Any]
SMALL: dict[str, Any] = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 1, "cfg_scale": 1, "seed": 5}
CHANGE: dict[str, Any] = {"prompt": "a pear", "steps": 2, "cfg_scale": 1, "seed": 3}


@pytest.fixture(scope="session")
def shared_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ovis")
    place(folder, "ovis", "tae16", "esrgan")
    return folder


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.fixture
async def start(client_factory: ClientFactory) -> Callable[[], Awaitable[Client]]:
    """Starts the application, anew if need be."""
    return partial(client_factory, default_model="ovis")


@pytest.fixture
async def client(start: Callable[[], Awaitable[Client]]) -> Client:
    return await start()


async def submit(client: Client, mode: str, body: dict[str, Any], status: int = 202) -> dict[str, Any]:
    response = await client.post(f"/api/generate/{mode}", json=body)
    reply: dict[str, Any] = await response.json()
    assert response.status == status, reply
    return reply


async def seen(client: Client, job_id: str) -> dict[str, Any]:
    """The job after its end."""
    assert client.app is not None
    await client.app[JOBS].wait(job_id, ANYONE)
    reply: dict[str, Any] = await (await client.get(f"/api/jobs/{job_id}")).json()
    return reply


async def test_generate_change_and_enlarge_are_submitted_at_once(client: Client) -> None:
    await client.post("/api/queue/pause")
    first = await submit(client, "text2img", {**SMALL, "batch_count": 2})
    changed = await submit(
        client,
        "img2img",
        {**CHANGE, "init_image": f"job:{first['job_id']}/1", "priority": 9},
    )
    large = await submit(client, "upscale", {"image": f"job:{changed['job_id']}/0", "upscale_factor": 2})
    waiting = await (await client.get(f"/api/jobs/{changed['job_id']}")).json()
    assert (waiting["status"], waiting["waits_for"]) == ("pending", [first["job_id"]])
    assert (waiting["params"]["width"], waiting["params"]["height"]) == (64, 64)
    page = await (await client.get(f"/ui/jobs/{changed['job_id']}")).text()
    assert "Waits for the picture of" in page
    assert f"/ui/jobs/{first['job_id']}" in page
    assert "waits for a picture" in await (await client.get("/ui/queue")).text()
    form = await (await client.get("/ui/generate/upscale", params={"from": f"{first['job_id']}/1"})).text()
    assert f'value="job:{first["job_id"]}/1"' in form
    await client.post("/api/queue/resume")
    done = await seen(client, large["job_id"])
    assert (done["status"], done["waits_for"], done["error"]) == ("completed", [], None)
    data = await (await client.get(done["output_urls"][0])).read()
    assert Image.open(io.BytesIO(data)).size == (128, 128)
    made = await seen(client, changed["job_id"])
    assert made["started_at"] >= (await seen(client, first["job_id"]))["completed_at"]
    # What it was given is what the other made.
    given = await (await client.get(f"/ui/jobs/{changed['job_id']}/input/init_image_0.png")).read()
    source = await (await client.get((await seen(client, first["job_id"]))["output_urls"][1])).read()
    assert Image.open(io.BytesIO(given)).tobytes() == Image.open(io.BytesIO(source)).tobytes()
    # A number stands for a picture that is there, too.
    again = await submit(client, "upscale", {"image": f"job:{changed['job_id']}/0", "upscale_factor": 2})
    assert (await seen(client, again["job_id"]))["status"] == "completed"


async def test_a_chain_outlives_a_restart_ends_with_its_source_and_is_tried_again_as_a_whole(
    start: Callable[[], Awaitable[Client]],
) -> None:
    client = await start()
    await client.post("/api/queue/pause")
    first = await submit(client, "text2img", SMALL)
    then = await submit(client, "img2img", {**CHANGE, "init_image": f"job:{first['job_id']}/0"})
    last = await submit(client, "img2img", {**CHANGE, "init_image": f"job:{then['job_id']}/0"})
    await client.close()
    client = await start()
    assert (await (await client.get(f"/api/jobs/{last['job_id']}")).json())["waits_for"] == [then["job_id"]]
    await client.post("/api/queue/cancel", json={"job_id": first["job_id"]})
    for job, source in ((then, first), (last, then)):
        ended = await seen(client, job["job_id"])
        assert ended["status"] == "cancelled"
        assert ended["error"] == f"the job {source['job_id']}, whose picture it waited for, was cancelled"
        assert ended["failure"]["slug"] == "source_cancelled"
    assert "was cancelled" in await (await client.get(f"/ui/jobs/{last['job_id']}")).text()
    again = await (await client.post(f"/api/queue/job/{last['job_id']}/retry")).json()
    counts = await (await client.get("/api/queue/status")).json()
    assert counts["pending_count"] == 3
    await client.post("/api/queue/resume")
    assert (await seen(client, again["job_id"]))["status"] == "completed"


@pytest.mark.parametrize(
    ("mode", "body", "number", "problem"),
    [
        ("text2img", SMALL, 1, "the job makes 1 picture(s), counted from 0: it will have no picture 1"),
        ("text2img", {**SMALL, "batch_count": 2}, 7, "the job makes 2 picture(s)"),
    ],
)
async def test_a_picture_that_will_not_be_made_is_refused(
    client: Client, mode: str, body: dict[str, Any], number: int, problem: str
) -> None:
    await client.post("/api/queue/pause")
    first = await submit(client, mode, body)
    asked = {**CHANGE, "init_image": f"job:{first['job_id']}/{number}"}
    reply = await submit(client, "img2img", asked, status=400)
    assert problem in str(reply)
    assert "init_image" in str(reply)
    await client.post("/api/queue/cancel", json={"job_id": first["job_id"]})
    assert "has no output" in str(
        await submit(client, "img2img", {**asked, "init_image": f"job:{first['job_id']}/0"}, status=400)
    )
