"""Signing in and out."""

from __future__ import annotations

from aiohttp import web

from sdrest.core import bounds
from sdrest.core.errors import SdrestError
from sdrest.core.principal import Permission
from sdrest.settings import AuthMode
from sdrest.web.http.access import requires
from sdrest.web.http.auth import log_in_browser, log_out_browser
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import ACCESS, SETTINGS
from sdrest.web.ui.page_contexts import LoginPage
from sdrest.web.ui.rendering import page

_HOME = "/ui/"


async def show(request: web.Request) -> web.StreamResponse:
    """The form; there is nothing to sign in to without authentication."""
    if request.app[SETTINGS].auth is AuthMode.NONE:
        return web.Response(status=303, headers={"Location": _HOME})
    return page(request, "login.html", login_context(request, request.query.get("next", "")))


async def log_in(request: web.Request) -> web.StreamResponse:
    """Check the name and the password, and go on to the page that was wanted."""
    form = await read_parts(request, most=bounds.ACCOUNT_BODY_BYTES)
    username, password, target = (str(form.get(name, "")) for name in ("username", "password", "next"))
    response = web.Response(status=303, headers={"Location": local_target(target)})
    try:
        await log_in_browser(request, response, username, password)
    except SdrestError as error:
        context = login_context(request, target, username=username, problem=error.message)
        return page(request, "login.html", context, status=status_of(error))
    return response


@requires(Permission.VIEW)
async def log_out(request: web.Request) -> web.StreamResponse:
    """End the session."""
    response = web.Response(status=303, headers={"Location": "/ui/login"})
    await log_out_browser(request, response)
    return response


def local_target(target: str) -> str:
    """``target`` when it is a page of this server, else the first page: nobody is sent elsewhere after signing in."""
    is_ours = target.startswith("/ui/") and not any(sign in target for sign in ("\\", "\r", "\n", "//", "/../"))
    return target if is_ours else _HOME


def login_context(request: web.Request, target: str, *, username: str = "", problem: str = "") -> LoginPage:
    """The form, and what went wrong with it before."""
    return LoginPage(
        username=username,
        problem=problem,
        target=local_target(target),
        by_key=request.app[SETTINGS].auth is AuthMode.API_KEY,
        provider=provider.name if (provider := request.app[ACCESS].provider) else "",
    )
