"""The Grids page: from its form to the table of a group."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.principal import ANYONE
from sdrest.jobs.listing import JobFilter
from sdrest.web.http.keys import JOBS
from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]
FORM = {
    "prompt": "a red apple",
    "parameters": '{"width": 64, "height": 64, "steps": 1, "seed": 7}',
    "x_kind": "steps",
    "x_values": "1-2",
    "y_kind": "replace",
    "y_values": 'apple, "pear, or fig"',
}


async def test_a_form_becomes_a_table_with_a_picture_in_every_place(client: Client) -> None:
    assert client.app is not None
    jobs = client.app[JOBS]
    answer = await client.post("/ui/groups", data=FORM)
    page = await answer.text()
    assert (answer.status, answer.url.path.startswith("/ui/groups/")) == (200, True)
    assert re.findall(r'scope="(?:col|row)">([^<]*)<', page) == ["steps → apple", "1", "2", "apple", "pear, or fig"]
    for job in await jobs.store.find(JobFilter()):
        assert (await jobs.wait(job.id, ANYONE)).state == "completed"
    part = await (await client.get(answer.url.path, headers={"HX-Request": "true"})).text()
    assert part.count("<img ") == 4
    assert "4 of 4 made" in part
    assert "hx-trigger" not in part  # it is over
    assert "<html" not in part
    listing = await (await client.get("/ui/groups")).text()
    assert "steps × apple" in listing
    job = (await jobs.store.find(JobFilter()))[0]
    assert answer.url.path in await (await client.get(f"/ui/jobs/{job.id}")).text()
    gone = await client.post(f"{answer.url.path}/delete")
    assert (gone.url.path, await jobs.store.count(JobFilter())) == ("/ui/groups", 0)


async def test_the_form_is_filled_with_a_job(client: Client) -> None:
    job = (await (await client.post("/api/generate/text2img", json=SMALL)).json())["job_id"]
    page = await (await client.get("/ui/groups/new", params={"job": job})).text()
    assert "a red apple" in page
    assert re.search(r"&#34;width&#34;: 64", page)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"x_kind": "", "y_kind": ""}, "fill in either the axes or the list"),
        ({"csv": "prompt\na"}, "fill in either the axes or the list"),
        ({"x_values": "1, few"}, "x: &#39;few&#39; is neither a number nor a range"),
        ({"x_values": ""}, "x: needs at least one value"),
        ({"parameters": "{"}, "parameters: is no JSON"),
        ({"z_kind": "lora", "z_values": "1"}, "z: name the LoRA"),
        ({"y_values": "plum, pear"}, "is in neither prompt"),
    ],
)
async def test_what_is_wrong_is_said_and_the_form_keeps_what_was_typed(
    client: Client, change: dict[str, str], problem: str
) -> None:
    answer = await client.post("/ui/groups", data={**FORM, **change})
    page = await answer.text()
    assert answer.status == 400
    assert problem in page
    assert 'value="apple, &#34;pear, or fig&#34;"' in page or "y_values" in change
