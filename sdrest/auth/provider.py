"""Signing in through an OpenID Connect provider: to whom people are sent, and what is made of what they bring back.

The authorization code flow with PKCE (RFC 7636). State, nonce and verifier are kept by the browser in a signed cookie, so whichever
server people come back to can go on.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib.util
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sdrest.auth.identity import Identity
from sdrest.auth.keyring import KeyRing
from sdrest.auth.people import People
from sdrest.core.errors import FieldProblem, InvalidInput, Unauthorized
from sdrest.settings import Settings

if TYPE_CHECKING:
    from sdrest.auth.oidc import OpenId

#: How long one may take to sign in at the provider.
PENDING_SECONDS: Final = 600
#: Longest page that is gone on to: the cookie must fit.
_TARGET_CHARACTERS: Final = 1000
_PURPOSE: Final = "sign-ins"
_ALGORITHM: Final = "HS256"
_NOT_BEGUN: Final = "this sign-in was not begun in this browser, or it took too long; try again"


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way: where to send the browser, and what it is to keep."""

    url: str
    cookie: str


class Provider:
    """An identity provider of the settings. Nothing is asked of it, and no library loaded, before somebody signs in.

    Args:
        settings: Which provider, and who may sign in.
        ring: Signs what browsers keep.
        clock: The time in seconds (Unix).

    Raises:
        InvalidInput: the settings are not right.
    """

    def __init__(self, settings: Settings, ring: KeyRing, clock: Callable[[], float] = time.time) -> None:
        _check(settings)
        self._settings = settings
        self.people = People.of(settings)
        self._secret = _read_secret(settings.oidc_client_secret_file)
        self._ring = ring
        self._clock = clock
        self._lock = asyncio.Lock()
        self._openid: OpenId | None = None

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._settings.oidc_title or urlsplit(self._settings.oidc_issuer).netloc

    async def begin(self, back: str, target: str) -> Begun:
        """Begin a sign-in that is to come back to the address ``back``, and then leads to the page ``target``.

        Raises:
            Unavailable: the provider cannot be asked for its addresses.
        """
        import jwt  # noqa: PLC0415 - it brings much cryptography along, and most servers have no tokens

        openid = await self._loaded()
        kept = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        url = await openid.address(back, **kept)
        secret = self._ring.newest()
        target = target if len(target) <= _TARGET_CHARACTERS else ""
        claims = {**kept, "target": target, "back": back, "exp": int(self._clock()) + PENDING_SECONDS}
        cookie = jwt.encode(claims, secret.key(_PURPOSE), algorithm=_ALGORITHM, headers={"kid": secret.id})
        return Begun(url, cookie)

    async def finish(self, cookie: str, *, state: str, code: str, issuer: str) -> Identity:
        """Who comes back with a code, in a browser that has kept ``cookie``.

        Args:
            cookie: What :meth:`begin` gave.
            state: As the provider repeats it.
            code: What the provider gives out tokens for.
            issuer: Who the provider says it is (RFC 9207); empty where it does not.

        Raises:
            Unauthorized: it was begun elsewhere, or what the provider gives for the code is not right.
            Forbidden: somebody who may not use this server.
            Unavailable: the provider cannot be asked.
        """
        kept = self._kept(cookie)
        if not kept or not hmac.compare_digest(kept["state"].encode(), state.encode()):
            raise Unauthorized(_NOT_BEGUN)
        if issuer and issuer != self._settings.oidc_issuer:
            raise Unauthorized("the answer is another provider's")
        openid = await self._loaded()
        claims = await openid.claims(
            code, kept["back"], verifier=kept["verifier"], nonce=kept["nonce"], lacks=self.people.lacks
        )
        return self.people.identity_of(claims)

    def target(self, cookie: str) -> str:
        """The page that a sign-in was begun for; empty where the cookie is none of ours, or too old."""
        return self._kept(cookie).get("target", "")

    def _kept(self, cookie: str) -> dict[str, str]:
        import jwt  # noqa: PLC0415 - as above

        try:
            secret = self._ring.find(str(jwt.get_unverified_header(cookie).get("kid", "")))
            if secret is None:
                return {}
            claims = jwt.decode(
                cookie,
                secret.key(_PURPOSE),
                algorithms=[_ALGORITHM],
                options={"require": ["exp", "state"], "verify_exp": False},
            )
        except jwt.InvalidTokenError:
            return {}
        return {name: str(value) for name, value in claims.items()} if claims["exp"] > self._clock() else {}

    async def _loaded(self) -> OpenId:
        async with self._lock:
            if self._openid is None:
                self._openid = await asyncio.to_thread(self._load)
        return self._openid

    def _load(self) -> OpenId:
        from sdrest.auth.oidc import OpenId  # noqa: PLC0415 - only those who sign in so need authlib

        settings = self._settings
        return OpenId(settings.oidc_issuer, settings.oidc_client_id, self._secret, scopes=settings.oidc_scopes)


def why_unavailable() -> str | None:
    """Why nobody can sign in through a provider here; None when they can."""
    if importlib.util.find_spec("authlib") and importlib.util.find_spec("httpx2"):
        return None
    return "--auth oidc needs the package authlib: ./install.sh --extras oidc (or pip install 'sdrest[oidc]')"


def _check(settings: Settings) -> None:
    if why := why_unavailable():
        raise InvalidInput(why, field="auth")
    problems = []
    url = urlsplit(settings.oidc_issuer)
    if url.scheme not in {"https", "http"} or not url.hostname or url.query or url.fragment:
        problems.append(
            FieldProblem("oidc_issuer", "must be the provider's address: https://login.example.org/realms/staff")
        )
    elif not is_secure(settings.oidc_issuer):
        problems.append(
            FieldProblem("oidc_issuer", "must be https:// for another machine: tokens would be read on the way")
        )
    if not settings.oidc_client_id:
        problems.append(FieldProblem("oidc_client_id", "is needed: what the provider knows this server by"))
    if "openid" not in settings.oidc_scopes:
        problems.append(FieldProblem("oidc_scopes", "must hold openid"))
    if problems:
        raise InvalidInput(problems)


def is_secure(address: str) -> bool:
    """Whether what is sent to an address cannot be read on the way: HTTPS, or this machine."""
    url = urlsplit(address)
    return url.scheme == "https" or (url.scheme == "http" and url.hostname in {"localhost", "127.0.0.1", "::1"})


def _read_secret(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read {file}: {error}", field="oidc_client_secret_file") from None
    if not text:
        raise InvalidInput(f"{file} is empty", field="oidc_client_secret_file")
    return text
