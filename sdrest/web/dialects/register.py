"""Adding the dialects to an application: their routes, and their shapes of error replies."""

from __future__ import annotations

from importlib.util import find_spec

from aiohttp import web

from sdrest.web.dialects import server_b
from sdrest.web.dialects.a1111 import (
    lists as a1111_lists,
)
from sdrest.web.dialects.a1111 import (
    options as a1111_options,
)
from sdrest.web.dialects.a1111 import (
    progress as a1111_progress,
)
from sdrest.web.dialects.a1111 import (
    replies as a1111_replies,
)
from sdrest.web.dialects.a1111 import (
    routes as a1111,
)
from sdrest.web.dialects.mcp.route import add_mcp
from sdrest.web.dialects.openai import images as openai
from sdrest.web.dialects.openai import replies as openai_replies
from sdrest.web.dialects.openai import videos as openai_videos
from sdrest.web.dialects.sdcpp import routes as sdcpp
from sdrest.web.http.errors import Problems
from sdrest.web.http.routing import add_dialect_routes


def add_dialects(app: web.Application, problems: Problems) -> None:
    """Let ``app`` speak every dialect."""
    for module in (openai, openai_videos, a1111, a1111_lists, a1111_options, a1111_progress, sdcpp, server_b):
        add_dialect_routes(app, module.ROUTES)
    problems.render_under("/v1/", openai_replies.render_error)
    for prefix in ("/sdapi/", "/controlnet/", "/internal/"):
        problems.render_under(prefix, a1111_replies.render_error)
    if find_spec("mcp") is not None:
        add_mcp(app)  # only with the extra: the package is not there otherwise
