"""Adding the dialects to an application: their routes, and their shapes of error replies."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from aiohttp import web

from sdrest.web.dialects.a1111.replies import render_error as a1111_error
from sdrest.web.dialects.mcp.route import add_mcp
from sdrest.web.dialects.ollama import render_error as ollama_error
from sdrest.web.dialects.openai.replies import render_error as openai_error
from sdrest.web.http.errors import Problems
from sdrest.web.http.routing import add_dialect_routes

#: Modules of this package with ``ROUTES``.
_MODULES: Final = (
    "a1111.controlnet",
    "a1111.extras",
    "a1111.lists",
    "a1111.options",
    "a1111.progress",
    "a1111.routes",
    "ollama",
    "openai.files",
    "openai.images",
    "openai.responses",
    "openai.videos",
    "sdcpp.routes",
    "server_b",
)
#: How errors are written under the first part of a path; the native shape elsewhere.
_ERRORS: Final = {
    "/v1/": openai_error,
    "/sdapi/": a1111_error,
    "/controlnet/": a1111_error,
    "/internal/": a1111_error,
    "/ollama/": ollama_error,
}


def add_dialects(app: web.Application, problems: Problems) -> None:
    """Let ``app`` speak every dialect."""
    for name in _MODULES:
        add_dialect_routes(app, import_module(f"{__package__}.{name}").ROUTES)
    for prefix, render in _ERRORS.items():
        problems.render_under(prefix, render)
    if find_spec("mcp") is not None:
        add_mcp(app)  # only with the extra: the package is not there otherwise
