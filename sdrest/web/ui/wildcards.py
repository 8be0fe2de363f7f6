"""The page on which wildcards are looked at, tried and edited."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.principal import Permission
from sdrest.planning.dynamic_prompts import drawn
from sdrest.web.http.access import requires
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import PRINCIPAL, WILDCARDS
from sdrest.web.ui.forms import read_form
from sdrest.web.ui.rendering import page
from sdrest.web.ui.workbench_contexts import WildcardsPage

HERE: Final = "/ui/wildcards"
_TRIES: Final = 5


async def show(request: web.Request) -> web.Response:
    """All wildcards, the one that ``?name=`` names, and what ``?try=`` is drawn to."""
    name, text = request.query.get("name", ""), ""
    if name:
        text = await asyncio.to_thread(request.app[WILDCARDS].read, name)
    return await _page(request, name, text, tried=request.query.get("try", ""))


@requires(Permission.MANAGE_MODELS)
async def change(request: web.Request) -> web.Response:
    """Save or delete a wildcard."""
    posted = (await read_form(request)).texts
    name, text = posted.get("name", "").strip(), posted.get("text", "")
    wildcards = request.app[WILDCARDS]
    try:
        if posted.get("action") == "delete":
            await asyncio.to_thread(wildcards.remove, name)
            return web.Response(status=303, headers={"Location": HERE})
        await asyncio.to_thread(wildcards.save, name, text)
    except SdrestError as error:
        return await _page(request, name, text, problem=error.message, status=status_of(error))
    return web.Response(status=303, headers={"Location": f"{HERE}?{urlencode({'name': name})}"})


async def _page(
    request: web.Request, name: str, text: str, *, tried: str = "", problem: str = "", status: int = 200
) -> web.Response:
    wildcards = request.app[WILDCARDS]
    prompts: list[str] = []
    try:
        prompts = await asyncio.to_thread(
            lambda: [drawn(tried, seed, wildcards.options) for seed in range(_TRIES if tried else 0)]
        )
    except InvalidInput as error:
        problem, status = error.problems[0].message, status_of(error)
    context = WildcardsPage(
        names=await asyncio.to_thread(wildcards.names),
        name=name,
        text=text,
        tried=tried,
        prompts=prompts,
        problem=problem,
        folder=str(wildcards.folder),
        can_edit=request[PRINCIPAL].may(Permission.MANAGE_MODELS),
    )
    return page(request, "wildcards.html", context, status=status)
