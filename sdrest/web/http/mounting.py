"""A server that lies below a path of its name (``base_path``), with other things beside it behind the same proxy.

Handlers see requests without that path and write addresses without it. Here it is taken off what comes in, and put before what goes
out: in headers, in cookies' paths and in the pages' attributes, whoever wrote them. A JSON reply holds people's texts beside
addresses; whoever makes an address for one puts :func:`base_of` before it, as scripts do with ``sdrest.at``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web
from yarl import URL

from sdrest.core import bounds
from sdrest.web.http.keys import SETTINGS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BASE: Final = web.AppKey("base", str)
_HEADERS: Final = (hdrs.LOCATION, "HX-Redirect", "HX-Location", "HX-Push-Url", "HX-Replace-Url")
#: Attributes of the pages that hold addresses. Templates write quotes, and escape those within values.
_ADDRESSES: Final = re.compile(
    r'(\s(?:href|src|action|formaction|poster|hx-(?:get|post|put|patch|delete|push-url|replace-url)|data-url|data-address)="|\scontent="0;url=)/(?!/)'
)


def mounted(app: web.Application) -> web.Application:
    """What to run for ``app``: an application that has it below the base path of its settings, or itself where they name none."""
    settings = app[SETTINGS]
    base = settings.base_path
    if not base:
        return app

    async def enter(_request: web.Request) -> web.Response:
        return web.Response(status=308, headers={hdrs.LOCATION: f"{base}/"})

    async def beside(_request: web.Request) -> web.Response:
        told = f"There is nothing here: this server lies below {base}/. A proxy before it has to pass that path on as it is.\n"
        return web.Response(status=404, text=told)

    app[_BASE] = base
    root = web.Application(client_max_size=settings.max_body_bytes, client_max_fields=bounds.FORM_FIELDS)
    root.router.add_get(base, enter)
    root.add_subapp(base, app)
    root.router.add_route("*", "/{path:.*}", beside)
    return root


def base_of(app: web.Application) -> str:
    """The path below which ``app`` is reached, without a slash at its end; empty at the root."""
    return app.get(_BASE, "")


@web.middleware
async def below_base_path(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the base path off the request, and put it before the addresses of the reply."""
    base = base_of(request.app)
    if not base:
        return await handler(request)
    asked = request.rel_url
    path = asked.raw_path.removeprefix(base)
    below = URL.build(path=path, query_string=asked.raw_query_string, encoded=True)
    # A copy forgets what a proxy's word has changed, unless it is told again.
    seen = request.clone(rel_url=below, scheme=request.scheme, host=request.host, remote=request.remote or "")
    try:
        response = await handler(seen)
    except web.HTTPException as error:
        _put_before(base, error)
        raise
    _put_before(base, response)
    return response


def _put_before(base: str, response: web.StreamResponse) -> None:
    if response.prepared:
        return
    for name in _HEADERS:
        address = response.headers.get(name, "")
        if address.startswith("/") and not address.startswith("//"):
            response.headers[name] = base + address
    for cookie in response.cookies.values():
        cookie["path"] = base + cookie["path"]
    if isinstance(response, web.Response) and response.content_type == "text/html" and response.text:
        response.text = _ADDRESSES.sub(rf"\g<1>{base}/", response.text)
