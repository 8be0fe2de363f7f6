"""Signing in through an identity provider: out to it, and back."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sdrest.auth.identity import Identity
from sdrest.auth.provider import PENDING_SECONDS, Provider
from sdrest.core.errors import NotFound, SdrestError, Unauthorized
from sdrest.web.http.auth import client_address, open_session
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import ACCESS
from sdrest.web.http.mounting import base_of
from sdrest.web.ui.languages import _
from sdrest.web.ui.login import local_target, login_context
from sdrest.web.ui.page_contexts import SignedInPage
from sdrest.web.ui.rendering import page

HERE: Final = "/ui/login/oidc"
BACK: Final = f"{HERE}/callback"
#: Lax: the browser comes back from another site.
_COOKIE: Final = "sdrest_sign_in"


async def begin(request: web.Request) -> web.StreamResponse:
    """Send the browser to the provider."""
    provider, target = _provider(request), local_target(request.query.get("next", ""))
    back = f"{request.url.origin()}{base_of(request.app)}{BACK}"
    try:
        begun = await provider.begin(back, target)
    except SdrestError as error:
        return _problem(request, target, error)
    response = web.Response(status=303, headers={"Location": begun.url, "Cache-Control": "no-store"})
    response.set_cookie(
        _COOKIE,
        begun.cookie,
        max_age=PENDING_SECONDS,
        path=HERE,
        httponly=True,
        samesite="Lax",
        secure=request.secure,
    )
    return response


async def finish(request: web.Request) -> web.StreamResponse:
    """Sign in whom the provider sends back.

    The answer is a page that goes on by itself: a redirect would still be the other site's doing, and the browser would not send
    the session's cookie with it.
    """
    provider, query = _provider(request), request.query
    cookie = request.cookies.get(_COOKIE, "")
    target = local_target(provider.target(cookie))

    async def asked() -> Identity:
        if "error" in query:
            raise Unauthorized(f"the provider has not signed you in ({query['error'][:100]})")
        return await provider.finish(
            cookie, state=query.get("state", ""), code=query.get("code", ""), issuer=query.get("iss", "")
        )

    try:
        identity = await request.app[ACCESS].authentication.log_in_by(asked, client_address(request))
    except SdrestError as error:
        response = _problem(request, target, error)
    else:
        response = page(request, "signed_in.html", SignedInPage(name=identity.name, target=target))
        await open_session(request, response, identity)
    response.del_cookie(_COOKIE, path=HERE, httponly=True, samesite="Lax", secure=request.secure)
    return response


def _provider(request: web.Request) -> Provider:
    provider = request.app[ACCESS].provider
    if provider is None:
        raise NotFound(_("people do not sign in here through a provider"))
    return provider


def _problem(request: web.Request, target: str, error: SdrestError) -> web.Response:
    context = login_context(request, target, problem=error.message)
    return page(request, "login.html", context, status=status_of(error))
