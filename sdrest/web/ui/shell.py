"""The pages as an app: light or dark as the reader wants, a manifest to install it by, and a page for when it is out of reach."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sdrest.core.errors import InvalidInput
from sdrest.core.installed import data_folder
from sdrest.core.names import Language
from sdrest.core.principal import Permission
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.ui.languages import LANGUAGE_COOKIE, reader_language
from sdrest.web.ui.login import local_target
from sdrest.web.ui.rendering import THEME_COOKIE, THEMES, document, is_htmx
from sdrest.web.ui.static_files import static_files

_YEAR_SECONDS: Final = 365 * 86_400
_WORKER_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'",
    "Cache-Control": "no-cache",
}


@requires(Permission.VIEW)
async def set_theme(request: web.Request) -> web.Response:
    """Keep whether this browser shows the pages light, dark, or as its system is."""
    parts = await read_parts(request)
    theme = str(parts.get("theme", ""))
    if theme not in THEMES:
        raise InvalidInput(f"must be one of {', '.join(THEMES)}", field="theme")
    response = web.Response(status=204)
    if not is_htmx(request):
        response = web.Response(status=303, headers={"Location": local_target(str(parts.get("back", "")))})
    response.set_cookie(THEME_COOKIE, theme, max_age=_YEAR_SECONDS, samesite="Lax", httponly=True)
    return response


async def set_language(request: web.Request) -> web.Response:
    """Keep the language that this browser shows the pages in; an empty one leaves it to the browser's own again."""
    parts = await read_parts(request)
    language = str(parts.get("language", ""))
    if language and language not in set(Language):
        raise InvalidInput(f"must be one of {', '.join(Language)}, or empty", field="language")
    response = web.Response(status=303, headers={"Location": local_target(str(parts.get("back", "")))})
    if language:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=_YEAR_SECONDS, samesite="Lax", httponly=True)
    else:
        response.del_cookie(LANGUAGE_COOKIE)
    return response


async def offline(request: web.Request) -> web.Response:
    """What is shown while the server does not answer: it holds no data, so nothing old looks new."""
    return document(request, "offline.html", {"language": reader_language()})


async def service_worker(_request: web.Request) -> web.Response:
    """The script that keeps the offline page; it changes with the files and the language, so that it never keeps old ones."""
    text = (data_folder("static") / "service_worker.js").read_text(encoding="utf-8")
    version = f'const version = "{static_files().version}";\n// {reader_language()}\n'
    return web.Response(text=version + text, content_type="text/javascript", headers=_WORKER_HEADERS)
