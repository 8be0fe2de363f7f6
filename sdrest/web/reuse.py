"""How a client of any dialect says that it wants a new picture, not the result of an earlier, equal request."""

from __future__ import annotations

from aiohttp import web


def may_reuse(request: web.Request) -> bool:
    """False when the request says ``Cache-Control: no-cache`` or ``no-store`` (RFC 9111, 5.2.1)."""
    said = {item.strip().lower() for item in request.headers.get("Cache-Control", "").split(",")}
    return not said & {"no-cache", "no-store"}
