"""What browsers get of the pages' files, and for how long they keep it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

from sdrest.core.installed import data_folder
from sdrest.web.ui.static_files import STATIC_PREFIX, StaticFiles

Client = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]


async def test_modules_find_each_other_under_the_version_that_is_kept_for_ever(aiohttp_client: Client) -> None:
    files, app = StaticFiles(), web.Application()
    for path in ("/{version}/{name}", "/{name}"):
        app.router.add_get(STATIC_PREFIX + path, files.handle)
    client = await aiohttp_client(app)
    address = files.url("canvas.mjs")
    reply = await client.get(address)
    assert reply.content_type == "text/javascript"
    assert "immutable" in reply.headers["Cache-Control"]
    imported = re.findall(r'from "\./([^"]+)"', await reply.text())
    assert imported
    for name in imported:
        assert (await client.get(f"{address.rpartition('/')[0]}/{name}")).status == 200
    # A page of yesterday gets what there is now, but not for ever.
    for other in (f"{STATIC_PREFIX}/yesterday/canvas.mjs", f"{STATIC_PREFIX}/canvas.mjs"):
        assert (await client.get(other)).headers["Cache-Control"] == "no-cache"


async def test_what_is_for_readers_is_not_sent_and_all_else_is(aiohttp_client: Client) -> None:
    files, app = StaticFiles(), web.Application()
    app.router.add_get(STATIC_PREFIX + "/{version}/{name}", files.handle)
    client = await aiohttp_client(app)
    for name in ("canvas-mask.mjs", "live.js", "sdrest.css"):
        sent = await (await client.get(files.url(name))).text()
        source = (data_folder("static") / name).read_text(encoding="utf-8")
        assert len(sent) < len(source)
        lines = [line.strip() for line in source.splitlines()]
        signs = ("/*",) if name.endswith(".css") else ("//", "/*", "* ", "*/")
        code = [line for line in lines if line and not line.startswith(signs)]
        assert [line.strip() for line in sent.splitlines() if line.strip()] == code
