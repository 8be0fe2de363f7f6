"""Drawing pages: templates, what surrounds every page, and the headers that keep pages to themselves."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web
from markupsafe import Markup

from sdrest import __version__
from sdrest.core.errors import SdrestError
from sdrest.core.installed import data_folder
from sdrest.core.principal import Role
from sdrest.settings import AuthMode
from sdrest.web.http.keys import PRINCIPAL, REQUEST_ID, SETTINGS
from sdrest.web.ui import labels
from sdrest.web.ui.filters import FILTERS
from sdrest.web.ui.languages import LANGUAGE_COOKIE, LANGUAGE_NAMES, _, ngettext, reader_language, script_texts
from sdrest.web.ui.page_contexts import ErrorPage, NavItem, Shell
from sdrest.web.ui.static_files import static_files

#: Scripts and styles only from files of this server; nothing inline, nothing from elsewhere.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "private, no-store",
    "Vary": "HX-Request, Accept-Language, Cookie",
}
#: Light, dark, or as the reader's system is; and the cookie that says which.
THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "sdrest-theme"
#: What a link of these pages can hold: 16 digits are more bytes than any machine has.
_NUMBER_DIGITS: Final = 16
_MAX_PAGE: Final = 10**9


@functools.cache
def _environment() -> jinja2.Environment:
    """The templates, compiled once in a process whatever number of applications it has."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("templates")),
        autoescape=True,
        extensions=["jinja2.ext.i18n"],
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        auto_reload=False,  # it would look at the files of every template at every page
        lstrip_blocks=True,
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(  # type: ignore[attr-defined] # by the extension
        _, ngettext, newstyle=True
    )
    environment.filters.update(FILTERS)
    environment.globals.update(static=static_files().url, labels=labels, _=_html_text)
    return environment


def _html_text(text: str, **values: object) -> Markup:
    """A text for a template: itself HTML, while what is put in is none. (As Jinja's own, which looks for values in every text.)"""
    found = Markup(_(text))  # noqa: S704 - from the catalogues
    return found % values if values else found


def set_up_templates(app: web.Application) -> None:
    """Give the application its template environment."""
    environment = app[aiohttp_jinja2.APP_KEY] = _environment()

    async def read_all(_app: web.Application) -> AsyncIterator[None]:
        # Beside the rest of the start-up: nobody waits for it, and the first look at a page need not read its templates.
        reading = asyncio.create_task(
            asyncio.to_thread(lambda: [*map(environment.get_template, environment.list_templates())])
        )
        yield
        await reading

    app.cleanup_ctx.append(read_all)


def _headers() -> dict[str, str]:
    return {**_PAGE_HEADERS, "Content-Language": reader_language()}


def shell(request: web.Request) -> Shell:
    """What surrounds the page of this request."""
    principal = request[PRINCIPAL]
    section = "/ui/" + request.path.removeprefix("/ui/").partition("/")[0]
    section = "/ui/" if section in {"/ui/generate", "/ui/jobs"} else section
    is_docs = request.path.startswith("/docs")
    section = "" if is_docs else section
    navigation = (
        (_("Generate"), "/ui/", "spark"),
        (_("Queue"), "/ui/queue", "list"),
        (_("Gallery"), "/ui/gallery", "picture"),
        (_("Models"), "/ui/models", "box"),
        (_("System"), "/ui/system", "gauge"),
    )
    return Shell(
        nav=tuple(NavItem(title, href, icon, href == section) for title, href, icon in navigation),
        user=principal.name if principal.role is not Role.GUEST else "",
        can_log_in=request.app[SETTINGS].auth is not AuthMode.NONE and request.path != "/ui/login",
        is_docs=is_docs,
        theme=theme if (theme := request.cookies.get(THEME_COOKIE, "")) in THEMES else "auto",
        language=reader_language(),
        chosen_language=request.cookies.get(LANGUAGE_COOKIE, ""),
        languages=LANGUAGE_NAMES,
        script_texts=script_texts(),
        here=request.path_qs,
        version=__version__,
    )


def document(request: web.Request, template: str, values: Mapping[str, Any]) -> web.Response:
    """A whole page of its own, without what surrounds the others."""
    text = aiohttp_jinja2.render_string(template, request, values)
    return web.Response(text=text, content_type="text/html", headers=_headers())


def page(request: web.Request, template: str, context: object, *, status: int = 200) -> web.Response:
    """A whole page; its template sees ``page`` (the context) and ``shell``."""
    text = aiohttp_jinja2.render_string(template, request, {"page": context, "shell": shell(request)})
    response = web.Response(text=text, content_type="text/html", status=status, headers=_headers())
    response.enable_compression()
    return response


def part(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A part of a page, to be swapped in by htmx."""
    text = aiohttp_jinja2.render_string(template, request, values)
    response = web.Response(text=text, content_type="text/html", status=status, headers=_headers())
    response.enable_compression()
    return response


def is_htmx(request: web.Request) -> bool:
    """Whether the request was made by htmx and wants a part, not a page."""
    return request.headers.get("HX-Request") == "true"


def query_number(request: web.Request, name: str) -> int | None:
    """A whole number in the query; None when it is none, or longer than any that a page wrote there."""
    text = request.query.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= _NUMBER_DIGITS else None


def page_number(request: web.Request) -> int:
    """Which page of a list is asked for, from 1; the first where the query names none that there could be."""
    number = query_number(request, "page") or 1
    return number if number <= _MAX_PAGE else 1


def see(request: web.Request, location: str) -> web.Response:
    """Send the browser on after a form was posted: by htmx without leaving its rules, else by a redirect."""
    if is_htmx(request):
        return web.Response(status=204, headers={"HX-Redirect": location})
    return web.Response(status=303, headers={"Location": location})


def error_page(request: web.Request, error: SdrestError, status: int) -> web.Response:
    """An error as a page, or as a notice when htmx asked."""
    context = ErrorPage(
        status=status,
        title=labels.ERROR_TITLES.get(status, _("This did not work")),
        message=error.message,
        details=error.log_tail,
        request_id=request.get(REQUEST_ID, "") if status >= 500 else "",
    )
    if is_htmx(request):
        response = part(request, "parts/notice.html", status=status, page=context)
        response.headers.update({"HX-Retarget": "#notices", "HX-Reswap": "beforeend"})
        return response
    return page(request, "error.html", context, status=status)
