"""The routes of the pages."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sdrest.web.problems import Problems
from sdrest.web.routing import Route
from sdrest.web.ui import generate, live, queue
from sdrest.web.ui.rendering import error_page, from_this_site, set_up_templates
from sdrest.web.ui.static_files import STATIC_PREFIX, StaticFiles

ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/ui/", generate.show),
    ("GET", "/ui/generate/{mode}", generate.show),
    ("POST", "/ui/generate/{mode}", generate.submit),
    ("GET", "/ui/recent", generate.recent),
    ("GET", "/ui/model-note", generate.model_note),
    ("POST", "/ui/parameters", generate.read_picture_parameters),
    ("GET", "/ui/events", live.events),
    ("GET", "/ui/queue", queue.show),
    ("POST", "/ui/queue/pause", queue.pause),
    ("POST", "/ui/queue/clear", queue.clear),
    ("GET", "/ui/jobs/{job_id}", queue.show_job),
    ("POST", "/ui/jobs/{job_id}/cancel", queue.cancel),
    ("POST", "/ui/jobs/{job_id}/retry", queue.retry),
    ("POST", "/ui/jobs/{job_id}/move", queue.move),
)


def add_ui(app: web.Application, problems: Problems) -> None:
    """Add the pages to the application."""
    static = StaticFiles()
    set_up_templates(app, static)
    problems.render_under("/ui", error_page)
    for method, path, handler in ROUTES:
        app.router.add_route(method, path, from_this_site(handler) if method == "POST" else handler)
    app.router.add_get(STATIC_PREFIX + "/{name}", static.handle)
    app.router.add_get("/ui", _home)
    app.router.add_get("/", _home)


async def _home(_request: web.Request) -> web.Response:
    """Go to the first page."""
    return web.Response(status=303, headers={"Location": "/ui/"})
