"""What the pages say: one name for one thing, numbers that are there, and a sign of life."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.model import ModelType
from sdrest.core.names import SAMPLER_LABELS, SCHEDULER_LABELS, Sampler, Scheduler
from sdrest.web.ui import live
from sdrest.web.ui.labels import ONE_LABELS, TYPE_LABELS
from tests.tiny.embedded import NAME

Client = TestClient[Any, Any]
SMALL = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "sampler": "euler", "scheduler": "discrete"}


async def _text(client: Client, address: str) -> str:
    reply = await client.get(address)
    assert reply.status == 200, await reply.text()
    return unescape(await reply.text())


async def test_a_model_a_sampler_and_a_scheduler_have_one_name_on_all_pages(client: Client) -> None:
    made = await (await client.post("/api/v1/generate", json=SMALL)).json()
    options = re.findall(r"<option[^>]*>([^<]*)</option>", await _text(client, "/ui/"))
    assert {NAME, SAMPLER_LABELS[Sampler.EULER], SCHEDULER_LABELS[Scheduler.DISCRETE]} <= set(options)
    assert re.search(rf'class="row-title">{NAME}\s*<', await _text(client, "/ui/models"))
    for address in (f"/ui/jobs/{made['job_id']}", f"/ui/gallery/{made['job_id']}/image_0.png"):
        facts = dict(re.findall(r"<dt>([^<]*)</dt>\s*<dd[^>]*>([^<]*)</dd>", await _text(client, address)))
        assert facts["Model"] == NAME
        assert facts["Sampler"] == SAMPLER_LABELS[Sampler.EULER]
        assert facts["Scheduler"] == SCHEDULER_LABELS[Scheduler.DISCRETE]


def test_one_model_is_not_called_by_the_name_of_many() -> None:
    assert set(ONE_LABELS) == set(TYPE_LABELS)
    many = {kind for kind, label in TYPE_LABELS.items() if label.endswith("s")}
    assert ModelType.CHECKPOINT in many
    assert {kind for kind, label in ONE_LABELS.items() if label.endswith("s")} == set()


async def test_a_chart_of_one_value_does_not_say_that_nothing_was_measured(client: Client) -> None:
    def chart(text: str) -> str:
        found = re.search(r"Time for each step.*?</figure>", text, re.DOTALL)
        assert found
        return found[0]

    assert "Nothing measured yet." in chart(await _text(client, "/ui/system"))
    assert (await client.post("/api/v1/generate", json=SMALL)).status == 200
    once = chart(await _text(client, "/ui/system"))
    assert re.search(r"<strong>\d+(\.\d+)? m?s</strong>", once)
    assert "Measured once so far." in once
    assert "Nothing measured yet." not in once


async def test_the_stream_of_a_page_says_that_it_lives_while_nothing_happens(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_BEAT_SECONDS", 0.01)
    async with client.get("/ui/events") as stream:
        heard = b""
        while heard.count(b"event: beat") < 2:
            chunk = await stream.content.readany()
            assert chunk, "the stream ended"
            heard += chunk
