"""The Gallery's pages, neighbours and deletion, and the Queue's lists, over HTTP."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.principal import ANYONE
from sdrest.web.http.keys import JOBS
from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def _make(client: Client, prompt: str, number: int = 1) -> None:
    for _ in range(number):  # all but the first are answered with the first one's result
        reply = await client.post("/api/v1/generate", json={**SMALL, "prompt": prompt})
        assert reply.status == 200


def _shown(text: str) -> list[str]:
    return re.findall(r'class="tile" href="/ui/gallery/([^/"]+)/', text)


async def test_pages_do_not_overlap_when_pictures_are_made_meanwhile(client: Client) -> None:
    await _make(client, "a fox", 50)
    first = await (await client.get("/ui/gallery")).text()
    more = re.search(r'class="more" hx-get="([^"]+)"', first)
    newer = re.search(r'id="newer" data-url="([^"]+)"', first)
    assert more
    assert newer
    await _make(client, "a fox", 3)
    second = await (await client.get(more[1].replace("&amp;", "&"), headers=HTMX)).text()
    assert len(_shown(first)) == 48
    assert len(_shown(second)) == 2
    assert not set(_shown(first)) & set(_shown(second))
    assert "hx-get" not in second
    since = await (await client.get(newer[1].replace("&amp;", "&"), headers=HTMX)).text()
    assert len(set(_shown(since)) - set(_shown(first)) - set(_shown(second))) == 3


async def test_neighbours_and_deletion_keep_to_what_was_searched(client: Client) -> None:
    for prompt in ("a teapot", "a fox", "a teapot on a table", "a fox", "a red teapot"):
        await _make(client, prompt)
    tiles = re.findall(r'class="tile" href="([^"]+)"', await (await client.get("/ui/gallery?search=teapot")).text())
    assert len(tiles) == 3
    assert all(tile.endswith("?search=teapot") for tile in tiles)
    newest = await (await client.get(tiles[0])).text()
    assert re.search(r'href="([^"]+)" data-next', newest)[1] == tiles[1]  # type: ignore[index]
    assert "data-previous" not in newest
    assert 'href="/ui/gallery?search=teapot" data-to-gallery' in newest
    remove = re.search(r'action="(/ui/gallery/[^"]+/delete[^"]*)"', newest)
    assert remove
    gone = await client.post(remove[1], allow_redirects=False)
    assert gone.headers["Location"].startswith(f"{tiles[1]}&undo=")
    await client.post(tiles[1].replace("/image_0.png", "/image_0.png/delete"))
    last = await client.post(tiles[2].replace("/image_0.png", "/image_0.png/delete"), allow_redirects=False)
    assert last.headers["Location"].startswith("/ui/gallery?search=teapot&undo=")
    undo = await (await client.get(last.headers["Location"])).text()
    await client.post(
        "/ui/gallery/selection", data={"do": "restore", "p": re.findall(r'name="p" value="([^"]+)"', undo)}
    )
    assert len(_shown(await (await client.get("/ui/gallery?search=teapot")).text())) == 1


async def test_without_scripts_pictures_are_chosen_marked_deleted_and_put_back(client: Client) -> None:
    await _make(client, "a fox", 3)
    page = await (await client.get("/ui/gallery")).text()
    files = re.findall(r'name="p" value="([^"]+)" form="selection"', page)
    assert len(files) == 3

    async def do(wish: str, *chosen: str, **fields: str) -> Any:
        data = [("do", wish), ("back", "/ui/gallery?tag=x"), *fields.items(), *(("p", item) for item in chosen)]
        return await client.post("/ui/gallery/selection", data=data, allow_redirects=False)

    assert (await do("favourite", files[0])).headers["Location"] == "/ui/gallery?tag=x"
    await do("tag", *files[:2], name="Red, small")
    await do("untag", files[1], name="small")
    await do("album", files[2], name="Best of")
    for query, number in (("favourite=1", 1), ("tag=red", 2), ("tag=small", 1), ("album=Best+of", 1), ("tag=none", 0)):
        assert len(_shown(await (await client.get(f"/ui/gallery?{query}")).text())) == number, query
    assert (await do("tag", files[0], name=" , ")).status == 400
    assert (await do("tag", name="x")).status == 400
    assert (await do("dance", files[0])).status == 400
    away = await client.post(
        "/ui/gallery/selection", data={"do": "unfavourite", "p": files[0], "back": "//evil"}, allow_redirects=False
    )
    assert away.headers["Location"] == "/ui/gallery"
    await do("delete", *files[:2])
    assert len(_shown(await (await client.get("/ui/gallery")).text())) == 1
    the_bin = await (await client.get("/ui/gallery/bin")).text()
    thumbs = re.findall(r'<img src="(/ui/gallery/bin/[^"]+)"', the_bin)
    assert len(thumbs) == 2
    assert (await client.get(thumbs[0])).content_type == "image/jpeg"
    assert (await client.get(f"/ui/gallery/bin/{files[2]}")).status == 404
    await do("restore", files[0])
    await do("remove", files[1])
    assert "The bin is empty" in await (await client.get("/ui/gallery/bin")).text()
    sent = await client.post("/ui/gallery/zip", data={"p": files[0]})
    assert sent.content_type == "application/zip"


async def test_the_oldest_come_first_where_that_is_wanted_and_pages_go_on(client: Client) -> None:
    await _make(client, "a fox", 50)
    newest = _shown(await (await client.get("/ui/gallery")).text())
    first = await (await client.get("/ui/gallery?sort=oldest")).text()
    more = re.search(r'class="more" hx-get="([^"]+)"', first)
    assert more
    assert "data-previous" not in first
    second = await (await client.get(more[1].replace("&amp;", "&"), headers=HTMX)).text()
    assert len(_shown(first)) + len(_shown(second)) == 50
    assert _shown(first)[2:] == newest[::-1][:46]
    assert 'id="newer"' in first


async def test_a_large_picture_is_shown_smaller_than_its_file(client: Client) -> None:
    reply = await client.post("/api/v1/generate", json={**SMALL, "width": 768, "height": 512, "steps": 1})
    job = (await reply.json())["job_id"]
    text = await (await client.get(f"/ui/jobs/{job}")).text()
    source = re.search(r'<img src="([^"]+)" width="768"', text)
    assert source
    assert "thumb=1" in source[1]
    assert (await client.get(source[1].replace("&amp;", "&"))).content_type == "image/jpeg"


async def test_waiting_jobs_move_by_one_place_and_ended_ones_can_be_deleted(client: Client) -> None:
    await client.post("/api/queue/pause")
    form = {"width": "64", "height": "64", "steps": "1"}
    for name in "abcde":
        await client.post("/ui/generate/txt2img", data={**form, "prompt": f"picture {name}"})

    async def waiting() -> list[tuple[str, str]]:
        text = await (await client.get("/ui/queue")).text()
        return re.findall(r'href="/ui/jobs/([^"]+)"><span class="row-title">picture (\w)</span>', text)

    last = (await waiting())[-1][0]
    await client.post(f"/ui/jobs/{last}/move", data={"to": "up"})
    assert "".join(name for _, name in await waiting()) == "abced"
    await client.post(f"/ui/jobs/{last}/move", data={"to": "down"})
    assert "".join(name for _, name in await waiting()) == "abcde"
    await client.post(f"/ui/jobs/{last}/cancel")
    assert last in await (await client.get("/ui/queue")).text()
    await client.post(f"/ui/jobs/{last}/delete")
    assert last not in await (await client.get("/ui/queue")).text()


async def test_the_queues_lists_are_drawn_anew_without_the_search(client: Client) -> None:
    text = await (await client.get("/ui/queue", headers=HTMX)).text()
    assert 'id="queue-finished"' in text
    assert "<input" not in text.partition('id="queue-finished"')[2]
    assert 'type="search"' not in text


async def test_other_orders_go_on_page_by_page_and_from_picture_to_picture(client: Client) -> None:
    await _make(client, "a fox", 49)
    other = await client.post("/api/v1/generate", json={**SMALL, "prompt": "a large fox", "width": 128, "height": 128})
    large = (await other.json())["job_id"]
    files = _shown(await (await client.get("/ui/gallery")).text())
    favourite = files[30]
    await client.post("/ui/gallery/selection", data={"do": "favourite", "p": f"{favourite}/image_0.png"})
    for sort, first in (("size", large), ("favourites", favourite), ("model", large)):
        page = await (await client.get(f"/ui/gallery?sort={sort}")).text()
        more = re.search(r'class="more" hx-get="([^"]+)"', page)
        assert more
        assert 'id="newer"' not in page
        rest = await (await client.get(more[1].replace("&amp;", "&"), headers=HTMX)).text()
        shown = _shown(page) + _shown(rest)
        assert (shown[0], len(shown), len(set(shown))) == (first, 50, 50)
        picture = await (await client.get(f"/ui/gallery/{shown[1]}/image_0.png?sort={sort}")).text()
        before, after = (
            re.search(rf'href="/ui/gallery/([^/]+)/[^"]+" data-{name}', picture) for name in ("previous", "next")
        )
        assert before
        assert after
        assert (before[1], after[1]) == (shown[0], shown[2])


async def test_a_job_that_ends_after_newer_ones_is_told_with_its_place(client: Client) -> None:
    await client.post("/api/queue/pause")
    form = {"width": "64", "height": "64", "steps": "1"}
    for name in "ab":
        await client.post("/ui/generate/txt2img", data={**form, "prompt": f"picture {name}"})
    waiting = re.findall(
        r'href="/ui/jobs/([^"]+)"><span class="row-title">', await (await client.get("/ui/queue")).text()
    )
    first, second = waiting
    await client.post(f"/ui/jobs/{second}/move", data={"to": "first"})
    page = await (await client.get("/ui/gallery")).text()
    ended = re.search(r'id="newer" data-url="([^"]+)"', page)
    assert ended
    assert client.app is not None
    jobs = client.app[JOBS]
    made = asyncio.create_task(jobs.wait(second, ANYONE))
    await client.post("/api/queue/resume")
    await made
    await jobs.wait(first, ANYONE)
    since = await (await client.get(ended[1].replace("&amp;", "&"), headers=HTMX)).text()
    places = dict(zip(_shown(since), map(int, re.findall(r'data-sequence="(\d+)"', since)), strict=True))
    assert [*places] == [second, first]
    assert places[second] > places[first]
    assert 'id="newer"' in since
    for odd in (
        "before=9999-12-31&after=0001-01-01",
        "ended=0001-01-01T00:00:00%2B07:00",
        "ended=x",
        "beyond=7/x&sort=size",
    ):
        assert len(_shown(await (await client.get(f"/ui/gallery?{odd}")).text())) == 2, odd
    none = await (await client.get("/ui/gallery?ended=2999-01-01T00:00:00%2B00:00", headers=HTMX)).text()
    assert _shown(none) == []


async def test_what_is_deleted_on_the_stage_or_in_the_queue_can_be_put_back(client: Client) -> None:
    await _make(client, "the older one")
    await _make(client, "the newer one", 1)
    older, newer = _shown(await (await client.get("/ui/gallery?sort=oldest")).text())

    async def listed(path: str) -> list[bool]:
        text = await (await client.get(path)).text()
        return [job in text for job in (older, newer)]

    reply = await client.post(f"/ui/stage/{newer}/delete", headers=HTMX)
    stage = await reply.text()
    assert reply.headers["HX-Trigger"] == "sdrest-jobs"
    assert f'data-job="{older}"' in stage
    for path in ("/ui/film", "/ui/queue", "/ui/gallery", "/ui/generate/txt2img"):
        assert await listed(path) == [True, False], path
    reply = await client.post(
        "/ui/stage/restore", data={"p": re.findall(r'name="p" value="([^"]+)"', stage)}, headers=HTMX
    )
    assert f'data-job="{newer}"' in await reply.text()
    assert await listed("/ui/film") == [True, True]

    lists = await (await client.post(f"/ui/jobs/{older}/delete", headers=HTMX)).text()
    assert f'name="p" value="{older}/image_0.png"' in lists
    assert 'id="queue-undo"' not in await (await client.get("/ui/queue", headers=HTMX)).text()
    gone = await client.post(f"/ui/jobs/{newer}/delete")
    undo = re.findall(r'name="p" value="([^"]+)"', await gone.text())
    assert (gone.url.path, undo) == ("/ui/queue", [f"{newer}/image_0.png"])
    assert "Nothing is here any more" in await (await client.post(f"/ui/stage/{newer}/delete", headers=HTMX)).text()
    back = await client.post("/ui/gallery/selection", data={"do": "restore", "p": undo, "back": "/ui/queue"})
    assert back.url.path == "/ui/queue"
    assert await listed("/ui/queue") == [False, True]


async def test_without_a_bin_what_is_deleted_is_gone(client_factory: ClientFactory) -> None:
    client = await client_factory(bin_days=0)
    await _make(client, "a fox")
    (job,) = _shown(await (await client.get("/ui/gallery")).text())
    assert "undo-note" not in await (await client.post(f"/ui/stage/{job}/delete", headers=HTMX)).text()
    assert (await client.get(f"/api/jobs/{job}")).status == 404
