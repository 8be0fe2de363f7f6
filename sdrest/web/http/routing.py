"""Registering handlers: every route of the native API answers under ``/api`` and ``/api/v1``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: Method, path below the prefix, handler.
Route = tuple[str, str, Handler]

API_PREFIXES: Final = ("/api", "/api/v1")


def add_api_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Add each route under both prefixes; a GET route answers HEAD as well."""
    for prefix in API_PREFIXES:
        for method, path, handler in routes:
            app.router.add_route(method, prefix + path, handler)
            if method == "GET":
                app.router.add_route("HEAD", prefix + path, handler)


def add_dialect_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Add routes whose paths are complete; a GET route answers HEAD as well, and every path OPTIONS with its methods."""
    methods: dict[str, list[str]] = {}
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
        methods.setdefault(path, ["OPTIONS"]).append(method)
        if method == "GET":
            app.router.add_route("HEAD", path, handler)
            methods[path].append("HEAD")
    for path, allowed in methods.items():
        app.router.add_route("OPTIONS", path, _options(", ".join(sorted(allowed))))


def _options(allow: str) -> Handler:
    """Clients ask for OPTIONS to see whether a server is there."""

    async def options(_request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Allow": allow})

    return options
