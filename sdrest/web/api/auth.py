"""Logging in and out with tokens, and asking who one is."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.auth.identity import Identity
from sdrest.auth.sessions import TokenPair
from sdrest.core import bounds
from sdrest.core.errors import Unauthorized
from sdrest.core.principal import Permission, Principal
from sdrest.web.http.access import requires
from sdrest.web.http.auth import Bearer, client_address, credentials_in
from sdrest.web.http.bodies import Body, read_body, read_json, validate
from sdrest.web.http.keys import ACCESS, CALLER, PRINCIPAL
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import timestamp


class LoginBody(Body):
    """A user name and a password; in the mode ``api-key`` the password is a key."""

    username: str = Field("", max_length=1024, description="User name.")
    password: str = Field(min_length=1, max_length=4096, description="Password.")


class RefreshBody(Body):
    """The refresh token of the last login or refresh; without one, the access token of the header is used."""

    refresh_token: str = Field("", max_length=4096, description="Refresh token; it works once.")


class UserView(TypedDict):
    """Who a login belongs to."""

    username: str
    role: str


class LoginReply(TypedDict):
    """Tokens of a session. ``token`` and ``access_token`` are the same."""

    token: str
    access_token: str
    token_type: str
    expires_in: int
    expires_at: str
    refresh_token: str
    refresh_expires_at: str
    user: UserView


class Validity(TypedDict):
    """What the credentials of the request are worth."""

    valid: bool
    user: UserView
    expires_at: str | None


class Profile(TypedDict):
    """The caller and what he may do."""

    username: str
    role: str
    permissions: list[str]
    auth_method: str


class LogoutReply(TypedDict):
    """Always true: there is no session any more."""

    success: bool


@operation("auth", body=LoginBody, reply=LoginReply, errors=(400, 401, 429, 503))
async def login(request: web.Request) -> web.Response:
    """Exchange a user name and a password for an access token and a refresh token."""
    body = await read_body(LoginBody, request, most=bounds.ACCOUNT_BODY_BYTES)
    assert isinstance(body, LoginBody)
    auth = request.app[ACCESS].authentication
    identity = await auth.log_in(body.username, body.password, client_address(request))
    return _tokens(await auth.sessions.open(identity), identity)


@requires(Permission.VIEW)
@operation("auth", body=RefreshBody, body_required=False, reply=LoginReply, errors=(401,))
async def refresh(request: web.Request) -> web.Response:
    """Get new tokens for a refresh token, or for an access token that is still good.

    A refresh token works once. Used a second time, it ends the session: somebody else has it.
    """
    value = await read_json(request, most=bounds.ACCOUNT_BODY_BYTES)
    text = validate(RefreshBody, value).refresh_token if value is not None else ""
    if not text:
        shown = credentials_in(request.headers)
        if not isinstance(shown, Bearer):
            raise Unauthorized("a refresh token is needed, in the body or as Bearer token")
        text = shown.text
    return _tokens(*await request.app[ACCESS].authentication.refresh(text))


@requires(Permission.VIEW)
@operation("auth", reply=Validity)
async def validity(request: web.Request) -> web.Response:
    """Whether the credentials are good, whose they are, and when they end (null: they do not)."""
    caller = request[CALLER]
    return json_reply({"valid": True, "user": _user(caller.principal), "expires_at": timestamp(caller.expires_at)})


@requires(Permission.VIEW)
@operation("auth", reply=Profile)
async def profile(request: web.Request) -> web.Response:
    """The caller and what he may do."""
    principal = request[PRINCIPAL]
    return json_reply(
        {
            **_user(principal),
            "permissions": [str(permission) for permission in Permission if principal.may(permission)],
            "auth_method": principal.method,
        }
    )


@requires(Permission.VIEW)
@operation("auth", reply=LogoutReply)
async def logout(request: web.Request) -> web.Response:
    """End the session: its access token and its refresh token stop working at once."""
    await request.app[ACCESS].authentication.log_out(request[CALLER])
    return json_reply({"success": True})


def _user(principal: Principal) -> UserView:
    return {"username": principal.name, "role": str(principal.role)}


def _tokens(pair: TokenPair, identity: Identity) -> web.Response:
    return json_reply(
        {
            "token": pair.access_token,
            "access_token": pair.access_token,
            "token_type": "bearer",
            "expires_in": pair.expires_in_seconds,
            "expires_at": timestamp(pair.access_expires_at),
            "refresh_token": pair.refresh_token,
            "refresh_expires_at": timestamp(pair.refresh_expires_at),
            "user": _user(identity.principal()),
        },
        headers={"Cache-Control": "no-store"},
    )


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/auth/login", login),
    ("POST", "/auth/refresh", refresh),
    ("GET", "/auth/validate", validity),
    ("GET", "/auth/me", profile),
    ("GET", "/auth/profile", profile),
    ("POST", "/auth/logout", logout),
)
