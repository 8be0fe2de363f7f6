"""From errors to HTTP: the one table of statuses, and the native shape of an error reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from sdrest.core import errors
from sdrest.web.http.keys import REQUEST_ID
from sdrest.web.http.replies import json_reply

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Renderer = Callable[[web.Request, errors.SdrestError, int], web.Response]

#: Status of each error class; a class not listed takes that of its nearest listed base.
STATUS_OF: Final[dict[type[errors.SdrestError], int]] = {
    errors.SdrestError: 500,
    errors.InvalidInput: 400,
    errors.Unsupported: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.QueueFull: 429,
    errors.InsufficientMemory: 507,
    errors.InsufficientStorage: 507,
    errors.ModelUnusable: 422,
    errors.GenerationFailed: 500,
    errors.FlatPicture: 422,
    errors.Cancelled: 409,
    errors.EngineDied: 500,
    errors.UpstreamFailed: 502,
    errors.Unavailable: 503,
}

#: HTTP errors that aiohttp itself raises, in the words of the error classes.
_SLUG_OF_STATUS: Final = {
    400: "invalid_input",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
}


class HttpError(errors.SdrestError):
    """An error of HTTP itself (no such route, wrong method …)."""

    def __init__(self, error: web.HTTPException) -> None:
        super().__init__(error.reason)
        self.status = error.status
        self.slug = _SLUG_OF_STATUS.get(error.status, "http_error")
        self.headers = {name: value for name, value in error.headers.items() if name == "Allow"}


def status_of(error: errors.SdrestError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, HttpError):
        return error.status
    return next(STATUS_OF[cls] for cls in type(error).__mro__ if cls in STATUS_OF)


def native_error(request: web.Request, error: errors.SdrestError, status: int) -> web.Response:
    """The native API's shape: ``{"error": message, "code": slug, "details": {…}}``."""
    body: dict[str, Any] = {"error": error.message, "code": error.slug}
    details = {**error.details, **({"log_tail": list(error.log_tail)} if error.log_tail else {})}
    if status >= 500:
        details["request_id"] = request[REQUEST_ID]
    if details:
        body["details"] = details
    return json_reply(body, status=status)


def _challenge(request: web.Request) -> str:
    """How to authenticate. Browsers ask in a window of their own for Basic, so only A1111 clients, which know no other, see it."""
    return 'Basic realm="sdrest", charset="UTF-8"' if request.path.startswith("/sdapi/") else 'Bearer realm="sdrest"'


class Problems:
    """The middleware that turns errors into replies; dialects register a renderer for their path prefix."""

    def __init__(self) -> None:
        self._renderers: dict[str, Renderer] = {}

    def render_under(self, prefix: str, renderer: Renderer) -> None:
        """Use ``renderer`` for requests whose path begins with ``prefix``."""
        self._renderers[prefix] = renderer

    def _renderer(self, path: str) -> Renderer:
        matching = [prefix for prefix in self._renderers if path.startswith(prefix)]
        return self._renderers[max(matching, key=len)] if matching else native_error

    def reply(self, request: web.Request, error: errors.SdrestError) -> web.Response:
        """The reply to a request that ended with ``error``."""
        status = status_of(error)
        response = self._renderer(request.path)(request, error, status)
        if isinstance(error, errors.QueueFull):
            response.headers["Retry-After"] = str(error.retry_after_seconds)
        if isinstance(error, HttpError):
            response.headers.update(error.headers)
        if status == 401:
            response.headers.setdefault("WWW-Authenticate", _challenge(request))
        return response

    def middleware(self) -> Middleware:
        """The aiohttp middleware."""

        @web.middleware
        async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            except errors.SdrestError as error:
                return self.reply(request, error)
            except web.HTTPRedirection:
                raise
            except web.HTTPException as error:
                return self.reply(request, HttpError(error))
            except ConnectionResetError:
                raise
            except Exception:
                log.exception("unexpected error", path=request.path)
                return self.reply(request, errors.SdrestError("internal error"))

        return problems
