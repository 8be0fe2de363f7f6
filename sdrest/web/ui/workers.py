"""The Workers page: the other machines that carry out this server's jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web

from sdrest.core.principal import Permission
from sdrest.web.http.access import requires
from sdrest.web.http.keys import MODELS, ROSTER, SETTINGS
from sdrest.web.requests.worker_views import WorkerView, worker_view
from sdrest.web.ui.rendering import is_htmx, page, part, see

HERE: Final = "/ui/system/workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersPage:
    """The workers that are connected to this server or another one on the database, and have been a moment ago."""

    workers: tuple[tuple[WorkerView, datetime | None], ...]  #: each with the time it came
    #: Names of models by id.
    models: dict[str, str]
    #: Whether they are connected to several servers.
    has_servers: bool
    #: Whether this server carries out jobs itself.
    works_itself: bool


@requires(Permission.MANAGE_QUEUE)
async def show(request: web.Request) -> web.Response:
    """All workers, or for htmx only their list."""
    app, roster = request.app, request.app[ROSTER]
    await roster.look()
    context = WorkersPage(
        workers=tuple((worker_view(worker), worker.since) for worker in roster.workers),
        has_servers=len({worker.server for worker in roster.workers} | {app[ROSTER].name}) > 1,
        models={model.id: model.name for model in app[MODELS].catalogue.models},
        works_itself=app[SETTINGS].work,
    )
    if is_htmx(request):
        return part(request, "parts/workers_list.html", page=context)
    return page(request, "workers.html", context)


@requires(Permission.MANAGE_QUEUE)
async def drain(request: web.Request) -> web.StreamResponse:
    """Have a worker finish what it does, and leave."""
    await request.app[ROSTER].drain(request.match_info["session"])
    return see(request, HERE)
