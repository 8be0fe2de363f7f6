"""Whether a browser sends a request on behalf of another site's page.

A credential that the browser adds by itself (a cookie, a Basic password, or merely being on the same machine) says nothing about
whose idea the request was. Browsers do say it, in ``Sec-Fetch-Site`` (Fetch Metadata) and ``Origin``: forms need no tokens.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from sdrest.web.access import READING


def is_foreign(request: web.Request) -> bool:
    """Whether the request changes something (or opens a WebSocket) and comes from a page of an origin that is not ours.

    Programs that are no browsers send neither header and are never foreign.
    """
    if request.method in READING and "websocket" not in request.headers.get("Upgrade", "").lower():
        return False
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in {"same-origin", "none"}
    return origin is not None and urlsplit(origin).netloc.lower() != request.host.lower()
