"""Groups of jobs over HTTP: grids and lists, their progress, cancel, retry and contact sheets, on the built-in model."""

from __future__ import annotations

import io
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.core.principal import ANYONE
from sdrest.web.http.keys import JOBS
from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]
BASE = {**SMALL, "steps": 1}
GRID = {
    "name": "fruit",
    "parameters": BASE,
    "axes": [
        {"replace": "apple", "values": ["apple", "pear"]},
        {"field": "steps", "values": [1, 2]},
    ],
}


async def post(client: Client, body: dict[str, Any], status: int = 202) -> dict[str, Any]:
    response = await client.post("/api/groups", json=body)
    reply: dict[str, Any] = await response.json()
    assert response.status == status, reply
    return reply


async def ended(client: Client, group: dict[str, Any]) -> dict[str, Any]:
    """The group after the end of all its jobs."""
    assert client.app is not None
    for cell in group["cells"]:
        await client.app[JOBS].wait(cell["job_id"], ANYONE)
    reply: dict[str, Any] = await (await client.get(group["links"]["self"])).json()
    return reply


async def test_a_grid_has_every_combination_and_becomes_a_labelled_sheet(client: Client) -> None:
    group = await post(client, {**GRID, "parameters": {**BASE, "seed": -1}})
    assert (group["total"], group["name"], group["is_list"]) == (4, "fruit", False)
    assert group["axes"] == [
        {"label": "apple", "values": ["apple", "pear"]},
        {"label": "steps", "values": ["1", "2"]},
    ]
    done = await ended(client, group)
    assert (done["status"], done["fraction"], done["counts"]["completed"]) == ("completed", 1, 4)
    assert [cell["labels"] for cell in done["cells"]] == [["apple", "1"], ["pear", "1"], ["apple", "2"], ["pear", "2"]]
    asked = [(await (await client.get(f"/api/jobs/{cell['job_id']}")).json())["params"] for cell in done["cells"]]
    assert [(item["prompt"], item["steps"]) for item in asked] == [
        ("a red apple", 1),
        ("a red pear", 1),
        ("a red apple", 2),
        ("a red pear", 2),
    ]
    assert len({item["seed"] for item in asked}) == 1  # drawn once
    sheet = await client.get(done["links"]["png"])
    assert sheet.content_type == "image/png"
    picture = Image.open(io.BytesIO(await sheet.read()))
    assert picture.width > 2 * 64
    assert picture.height > 2 * 64
    assert min(picture.convert("L").tobytes()) < 100  # labels and pictures on white
    page = await (await client.get(done["links"]["html"])).text()
    assert page.count('<img src="data:image/jpeg;base64,') == 4
    assert ">pear<" in page
    listing = await (await client.get("/api/groups")).json()
    assert (listing["total"], listing["items"][0]["group_id"]) == (1, group["group_id"])


async def test_a_repeated_request_gives_the_same_group(client: Client) -> None:
    await client.post("/api/queue/pause")
    first = await client.post("/api/groups", json=GRID, headers={"Idempotency-Key": "k"})
    again = await client.post("/api/groups", json={**GRID, "name": "other", "idempotency_key": "k"})
    assert (first.status, again.status) == (202, 202)
    assert again.headers["Location"] == first.headers["Location"]
    assert await again.json() == await first.json()
    assert (await (await client.get("/api/queue/status")).json())["total_count"] == 4
    assert (await post(client, GRID))["group_id"] != (await first.json())["group_id"]


async def test_what_was_cancelled_is_tried_again_and_a_group_is_deleted_as_a_whole(client: Client) -> None:
    await client.post("/api/queue/pause")
    group = await post(client, GRID)
    assert group["status"] == "pending"
    assert (await client.delete(group["links"]["self"])).status == 409
    assert await (await client.post(group["links"]["cancel"])).json() == {"success": True, "jobs": 4}
    cancelled = await (await client.get(group["links"]["self"])).json()
    assert (cancelled["status"], cancelled["fraction"]) == ("cancelled", 1)
    await client.post("/api/queue/resume")
    assert await (await client.post(group["links"]["retry"])).json() == {"success": True, "jobs": 4}
    again = await (await client.get(group["links"]["self"])).json()
    done = await ended(client, again)
    assert (done["status"], done["counts"]["completed"], done["counts"]["cancelled"]) == ("completed", 4, 0)
    assert (await client.delete(group["links"]["self"])).status == 200
    assert (await client.get(group["links"]["self"])).status == 404
    assert (await (await client.get("/api/queue/status")).json())["total_count"] == 0


async def test_a_csv_text_is_a_list(client: Client) -> None:
    text = 'prompt,seed,steps\n"a cat, sitting",3,\na dog,4,2\n'
    group = await post(client, {"parameters": BASE, "csv": text})
    assert (group["is_list"], group["axes"]) == (
        True,
        [{"label": "row", "values": ["1. a cat, sitting", "2. a dog"]}],
    )
    done = await ended(client, group)
    asked = [(await (await client.get(f"/api/jobs/{cell['job_id']}")).json())["params"] for cell in done["cells"]]
    assert [(item["prompt"], item["seed"], item["steps"]) for item in asked] == [
        ("a cat, sitting", 3, 1),
        ("a dog", 4, 2),
    ]
    assert (await client.get(done["links"]["png"])).status == 200


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"parameters": BASE}, "exactly one of axes, rows and csv"),
        ({"parameters": BASE, "rows": [{}], "csv": "a\n1"}, "exactly one of axes, rows and csv"),
        ({"parameters": BASE, "axes": [{"values": [1]}]}, "exactly one of field, replace and lora"),
        ({"parameters": BASE, "axes": [{"field": "steps", "values": [1, 0]}]}, "(at 0)"),
        ({"parameters": BASE, "axes": [{"field": "stepz", "values": [1]}]}, "stepz"),
        ({"parameters": BASE, "axes": [{"replace": "plum", "values": ["a"]}]}, "axes.0.replace"),
        ({"parameters": BASE, "axes": [{"field": "width", "values": [64, 63]}]}, "(at width 63)"),
        ({"parameters": BASE, "rows": [{"idempotency_key": "k"}]}, "is for single jobs"),
        ({"parameters": BASE, "rows": [{"odd": {}, "more": []}]}, "(at 1. {})"),
        ({"parameters": BASE, "csv": "prompt\na,b\n"}, "line 2 has more fields"),
        ({"parameters": BASE, "axes": [{"field": "seed", "values": [1] * 30}] * 2}, "900 jobs are more than the 500"),
        ({"mode": "img2img", "parameters": BASE, "rows": [{"init_image": "a"}, {"init_image": "b"}]}, "same input pictures"),
    ],
)  # fmt: skip
async def test_what_cannot_be_made_is_refused_as_a_whole(client: Client, body: dict[str, Any], problem: str) -> None:
    assert problem in str(await post(client, body, status=400))
    assert (await (await client.get("/api/queue/status")).json())["total_count"] == 0
    assert (await (await client.get("/api/groups")).json())["total"] == 0
