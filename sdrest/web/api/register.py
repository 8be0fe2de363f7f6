"""The modules of the native API."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from aiohttp import web

from sdrest.web.api.system import health
from sdrest.web.http.routing import add_api_routes, add_dialect_routes

#: Modules of this package with ``ROUTES``.
_MODULES: Final = (
    "accounts",
    "auth",
    "borrowed",
    "discovery",
    "events",
    "family",
    "gallery",
    "generate",
    "groups",
    "hubs",
    "images",
    "machine",
    "model_batch",
    "model_facts",
    "model_files",
    "model_sets",
    "models",
    "outputs",
    "prompts",
    "quotas",
    "queue",
    "saved",
    "system",
    "tokens",
    "transfers",
    "validation",
    "variations",
    "workers",
)


def add_api(app: web.Application) -> None:
    """Add every route of the native API, and ``/health`` where monitors and many clients look for it."""
    for name in _MODULES:
        add_api_routes(app, import_module(f"{__package__}.{name}").ROUTES)
    add_dialect_routes(app, (("GET", "/health", health),))
