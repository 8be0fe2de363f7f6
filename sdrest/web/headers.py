"""Response headers that make browsers careful, and those that let pages of chosen origins read replies (CORS)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from sdrest.web.keys import REQUEST_ID, SETTINGS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CAREFUL: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Replies of the API are data: whatever a browser makes of one, it runs nothing. Pages set a policy of their own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, X-API-Key"
_SHOWN_HEADERS: Final = "Location, Retry-After, X-Job-Id, X-Request-Id"
_PREFLIGHT_SECONDS: Final = "600"


def set_up_headers(app: web.Application) -> None:
    """Put the headers on every response of ``app``, streams and files included."""
    app.on_response_prepare.append(_add_headers)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    if REQUEST_ID in request:
        response.headers.setdefault("X-Request-Id", request[REQUEST_ID])
    origin = allowed_origin(request)
    if origin is not None:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _SHOWN_HEADERS
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if request.app[SETTINGS].cors_origins:
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    for name, value in _CAREFUL.items():
        response.headers.setdefault(name, value)


def allowed_origin(request: web.Request) -> str | None:
    """What ``Access-Control-Allow-Origin`` says; None when the page that asks may not read the reply.

    Credentials that the browser adds by itself are never allowed: a page sends a token or a key.
    """
    settings, origin = request.app[SETTINGS], request.headers.get(hdrs.ORIGIN)
    if origin is not None and origin in settings.cors_origins:
        return origin
    return "*" if settings.cors and origin is not None else None


@web.middleware
async def answer_preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a browser that asks whether a page of another origin may send a request (CORS preflight)."""
    asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    if not asks or allowed_origin(request) is None:
        return await handler(request)
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _REQUEST_HEADERS,
        hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_SECONDS,
    }
    return web.Response(status=204, headers=headers)
