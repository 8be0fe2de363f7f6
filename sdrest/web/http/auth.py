"""From a request to its caller: headers, cookie, peer of a UNIX socket, signed address; and the browser's login and logout."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from sdrest.auth.api_keys import looks_like_key
from sdrest.auth.identity import Identity
from sdrest.auth.service import Caller
from sdrest.auth.tokens import TokenKind
from sdrest.auth.unix import peer_uid
from sdrest.core.errors import Forbidden, TooManyRequests, Unauthorized
from sdrest.core.principal import ANYONE, NOBODY, Permission, Principal, Role
from sdrest.settings import AuthMode
from sdrest.web.http.access import READING, canonical_path, needs_caller
from sdrest.web.http.keys import ACCESS, CALLER, JOBS, PRINCIPAL, SETTINGS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE: Final = "sdrest_session"
LOGIN_PAGE: Final = "/ui/login"
_OUTPUT_ROUTE_END: Final = "/output/{filename}"


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who calls; refuse who must say so and does not, pages of other sites, and who calls too often."""
    if request.app[SETTINGS].auth is AuthMode.NONE:
        caller, explicit = Caller(ANYONE), False
    elif needs_caller(request):
        try:
            caller, explicit = await _caller(request)
        except Unauthorized:
            if _is_page(request):
                raise web.HTTPSeeOther(f"{LOGIN_PAGE}?{urlencode({'next': request.path_qs})}") from None
            raise
    else:
        caller, explicit = Caller(NOBODY), False
    if not explicit and is_foreign(request) and not _is_open_to(request):
        raise Forbidden(
            "a page of another site may not do this with your credentials", origin=request.headers.get("Origin")
        )
    request[CALLER] = caller
    request[PRINCIPAL] = caller.principal
    if request.method not in READING and needs_caller(request):
        request.app[ACCESS].rate_limit.take(caller.principal.name or client_address(request))
    return await handler(request)


def _is_open_to(request: web.Request) -> bool:
    """Whether the settings let pages of the request's origin use the server.

    With ``cors`` every page may, as long as the browser adds no credentials to the request by itself.
    """
    settings = request.app[SETTINGS]
    if request.headers.get("Origin") in settings.cors_origins:
        return True
    return settings.cors and COOKIE not in request.cookies and "Authorization" not in request.headers


async def shown_principal(request: web.Request) -> Principal:
    """Who asks for a public route, where the request shows it all the same: nobody without good credentials."""
    if request.app[SETTINGS].auth is AuthMode.NONE:
        return request[PRINCIPAL]
    try:
        caller, _ = await _caller(request)
    except (Unauthorized, TooManyRequests):
        return NOBODY
    return caller.principal


async def _caller(request: web.Request) -> tuple[Caller, bool]:
    """The caller, and whether he showed a credential that no browser adds by itself.

    Raises:
        Unauthorized: credentials are missing or not good.
    """
    auth = request.app[ACCESS].authentication
    shown = credentials_in(request.headers)
    if shown is not None:
        return await _by_header(request, shown), not isinstance(shown, Basic)
    if "signature" in request.query and (canonical_path(request) or "").endswith(_OUTPUT_ROUTE_END):
        return await _by_signature(request), True
    if cookie := request.cookies.get(COOKIE):
        caller = await auth.by_token(cookie, TokenKind.BROWSER)
        if caller is not None:
            return caller, False
    transport = request.transport
    connection = transport.get_extra_info("socket") if transport is not None else None
    uid = peer_uid(connection) if connection is not None else None
    caller = await auth.by_peer(uid) if uid is not None else None
    caller = caller or auth.without_credentials(client_address(request))
    if caller is None:
        raise Unauthorized("this needs credentials: log in, or send an access token or an API key")
    return caller, False


async def _by_header(request: web.Request, shown: Credentials) -> Caller:
    auth = request.app[ACCESS].authentication
    if isinstance(shown, Basic):
        return await auth.by_password(shown.username, shown.password, client_address(request))
    if looks_like_key(shown.text):
        caller, what = await auth.by_key(shown.text), "the API key is not valid"
    elif isinstance(shown, Key):
        caller, what = None, "X-API-Key does not hold an API key of this server"
    else:
        caller, what = await auth.by_token(shown.text, TokenKind.ACCESS), "the token is not valid or has expired"
    if caller is None:
        raise Unauthorized(what)
    return caller


async def _by_signature(request: web.Request) -> Caller:
    """The owner of the one output that the address is signed for, with no more than sight of it."""
    job_id, file = request.match_info["job_id"], request.match_info["filename"]
    query = request.query
    if not request.app[ACCESS].signer.is_valid(
        job_id, file, expires=query.get("expires", ""), signature=query["signature"]
    ):
        raise Unauthorized("the address is not right or has expired")
    job = await request.app[JOBS].store.get(job_id)
    owner = job.principal if job else ""
    return Caller(Principal(owner, Role.GUEST, frozenset({Permission.VIEW}), "signed-url"))


def _is_page(request: web.Request) -> bool:
    """Whether a person is looking: then the login page is a better answer than 401."""
    at_page = request.path in {"/", "/ui"} or request.path.startswith("/ui/")
    return at_page and request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def client_address(request: web.Request) -> str:
    """Where the request comes from, for limits: an IP address, or ``local`` for a UNIX socket."""
    return request.remote or "local"


async def log_in_browser(request: web.Request, response: web.StreamResponse, username: str, password: str) -> Identity:
    """Check a login form and put the session's cookie on ``response``.

    Raises:
        Unauthorized, TooManyRequests, Unavailable, Unsupported: as the words say.
    """
    identity = await request.app[ACCESS].authentication.log_in(username, password, client_address(request))
    await open_session(request, response, identity)
    return identity


async def open_session(request: web.Request, response: web.StreamResponse, identity: Identity) -> None:
    """Open a session for a browser, and put its cookie on ``response``."""
    text, seconds = await request.app[ACCESS].authentication.sessions.open_in_browser(identity)
    response.set_cookie(
        COOKIE, text, max_age=seconds, path="/", httponly=True, samesite="Strict", secure=request.secure
    )


async def log_out_browser(request: web.Request, response: web.StreamResponse) -> None:
    """End the browser's session and take its cookie away."""
    auth = request.app[ACCESS].authentication
    caller = await auth.by_token(request.cookies.get(COOKIE, ""), TokenKind.BROWSER)
    if caller is not None:
        await auth.log_out(caller)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=request.secure)


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


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token or an API key."""

    text: str


@dataclass(frozen=True, slots=True)
class Key:
    """An API key under its own header."""

    text: str


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and a password."""

    username: str
    password: str


Credentials = Bearer | Key | Basic


def credentials_in(headers: Mapping[str, str]) -> Credentials | None:
    """What the headers hold: ``Authorization: Bearer …``, ``X-API-Key``, ``Authorization: Basic …``, or nothing.

    ``Basic`` and ``Bearer`` with nothing behind them, as some clients send when no password is set, count as nothing.

    Raises:
        Unauthorized: the header is there and not of one of these forms.
    """
    if key := headers.get("X-API-Key", "").strip():
        return Key(key)
    scheme, _, rest = headers.get("Authorization", "").strip().partition(" ")
    rest = rest.strip()
    if not rest:
        return None
    if scheme.lower() == "bearer":
        return Bearer(rest)
    if scheme.lower() == "basic":
        return _basic(rest)
    raise Unauthorized("Authorization must be of the form 'Bearer TOKEN' or 'Basic …'")


def _basic(text: str) -> Basic | None:
    """User name and password of RFC 7617, in UTF-8."""
    try:
        username, colon, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized("the Basic credentials are not base64 of 'name:password'") from None
    if not colon:
        raise Unauthorized("the Basic credentials are not base64 of 'name:password'")
    return Basic(username, password) if username or password else None
