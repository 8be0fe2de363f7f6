"""The one place where credentials become a principal, in every mode."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sdrest.auth.accounts import Session
from sdrest.auth.api_keys import ApiKeys, looks_like_key
from sdrest.auth.audit import alarm, record
from sdrest.auth.identity import Identity, PasswordChecker
from sdrest.auth.keyring import KeyRing
from sdrest.auth.sessions import Sessions, TokenPair
from sdrest.auth.system_accounts import SystemAccounts
from sdrest.auth.throttle import LoginThrottle
from sdrest.auth.tokens import TokenKind
from sdrest.core.errors import Forbidden, TooManyRequests, Unauthorized, Unsupported
from sdrest.core.principal import ANYONE, Principal, Role, principal_of
from sdrest.settings import AuthMode

#: How long a name and password sent with every request (Basic) need not be checked again: hashing takes 50 ms each time.
_REMEMBER_SECONDS: Final = 60.0
_REMEMBERED: Final = 1000
#: Longest user name looked at: useradd(8) takes 32, directories 256.
_LONGEST_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal and, where a session speaks for it, that session."""

    principal: Principal
    session_id: str = ""
    expires_at: datetime | None = None


class Authentication:
    """Checks credentials of every kind that the mode allows. Without a password checker (mode ``none``) everybody may do all."""

    def __init__(
        self,
        mode: AuthMode,
        *,
        checker: PasswordChecker | None,
        sessions: Sessions,
        api_keys: ApiKeys,
        throttle: LoginThrottle,
        system: SystemAccounts,
        ring: KeyRing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mode = mode
        self.sessions = sessions
        self.api_keys = api_keys
        self._checker = checker
        self._throttle = throttle
        self._system = system
        self._ring = ring
        self._clock = clock
        self._salt = secrets.token_bytes(32)
        #: Digest of name and password → (good until, identity).
        self._proved: OrderedDict[bytes, tuple[float, Identity]] = OrderedDict()

    # ------------------------------------------------------------------ logging in and out

    async def log_in(self, username: str, password: str, address: str) -> Identity:
        """Who this is.

        Raises:
            Unauthorized: name or password is wrong; which of them is not said.
            TooManyRequests: too many failures of this account or from this address.
            Unavailable: the system cannot tell at the moment.
            Unsupported: this server runs without authentication.
        """
        if self._checker is None:
            raise Unsupported("this server runs without authentication: there is nothing to log in to")
        account = self._throttled_name(username, address)
        self._begin_attempt(account, address)
        try:
            identity = None if len(username) > _LONGEST_NAME else await self._checker.check(username, password)
        except BaseException:
            self._throttle.abandoned(account, address)
            raise
        if identity is None:
            # The name is not written down: people type passwords into the wrong field.
            alarm("login failed", address=address, account_digest=self._digest(account).hex()[:12])
            raise Unauthorized("wrong user name or password")
        self._succeeded(identity, account, address)
        return identity

    async def log_in_by(self, provider: Callable[[], Awaitable[Identity]], address: str) -> Identity:
        """Who a provider says this is; what it refuses counts as a failure of the address.

        Raises:
            Unauthorized, Forbidden: it does not say so, or of somebody who may not use this server.
            TooManyRequests: too many failures from this address.
            Unavailable: the provider cannot tell at the moment.
        """
        account = self._throttled_name("", address)
        self._begin_attempt(account, address)
        try:
            identity = await provider()
        except (Unauthorized, Forbidden) as error:
            alarm("login failed", address=address, method="oidc", reason=error.message)
            raise
        except BaseException:
            self._throttle.abandoned(account, address)
            raise
        self._succeeded(identity, account, address)
        return identity

    def _begin_attempt(self, account: str, address: str) -> None:
        try:
            self._throttle.begin(account, address)
        except TooManyRequests as error:
            alarm("login refused, locked", address=address, seconds=error.retry_after_seconds)
            raise

    def _succeeded(self, identity: Identity, account: str, address: str) -> None:
        self._throttle.succeeded(account, address)
        record("login", account=identity.name, method=identity.method, role=str(identity.role), address=address)

    def _throttled_name(self, username: str, address: str) -> str:
        """What failures are counted against: the account, or where the name means nothing, the address once more."""
        if self.mode is AuthMode.API_KEY or not username:
            return f"\0{address}"
        return username[:_LONGEST_NAME].casefold()

    async def refresh(self, text: str) -> tuple[TokenPair, Identity]:
        """New tokens for a refresh token, or for an access token that is still good.

        Raises:
            Unauthorized: the token is not good, was used before, or its session has ended.
        """
        token = self.sessions.read(text)
        session = await self.sessions.find(token) if token and token.kind is not TokenKind.BROWSER else None
        identity = await self._identity(session) if session else None
        pair = None
        if token is not None and session is not None and identity is not None:
            pair = await self.sessions.refresh(session, identity, token)
        if pair is None or identity is None:
            raise Unauthorized("the token is not valid; log in again")
        return pair, identity

    async def log_out(self, caller: Caller) -> None:
        """End the caller's session; nothing happens where there is none."""
        if caller.session_id:
            await self.sessions.end(caller.session_id)
            record("logout", account=caller.principal.name, session=caller.session_id[:8])

    # ------------------------------------------------------------------ credentials of a request

    async def by_token(self, text: str, *kinds: TokenKind) -> Caller | None:
        """The caller with this token, when it is of one of ``kinds`` and its session lives."""
        token = self.sessions.read(text)
        if token is None or token.kind not in kinds:
            return None
        session = await self.sessions.find(token)
        identity = await self._identity(session) if session else None
        return Caller(identity.principal(), token.session_id, token.expires_at) if identity else None

    async def by_key(self, text: str) -> Caller | None:
        """The caller with this API key. Keys are good in every mode."""
        identity = await self.api_keys.identify(text)
        return Caller(identity.principal()) if identity else None

    async def by_password(self, username: str, password: str, address: str) -> Caller:
        """The caller who sends name and password with every request; an API key may stand in place of either.

        Raises:
            as :meth:`log_in`.
        """
        for text in (password, username):
            if looks_like_key(text):
                caller = await self.by_key(text)
                if caller is None:
                    raise Unauthorized("the API key is not valid")
                return caller
        digest = self._digest(f"{username}\0{password}")
        until, known = self._proved.get(digest, (0.0, None))
        if known is not None and self._checker is not None and self._clock() < until:
            now = await self._checker.still(known)
            if now is not None:
                return Caller(now.principal())
        identity = await self.log_in(username, password, address)
        self._proved[digest] = (self._clock() + _REMEMBER_SECONDS, identity)
        while len(self._proved) > _REMEMBERED:
            self._proved.popitem(last=False)
        return Caller(identity.principal())

    async def by_peer(self, uid: int) -> Caller | None:
        """The caller on a UNIX socket whose process belongs to user ``uid``; only the mode ``unix`` takes its word."""
        if self.mode is not AuthMode.UNIX:
            return None
        name = await self._system.name_of(uid)
        found = await self._system.role_of(name) if name else None
        return Caller(principal_of(*found, "unix")) if found else None

    def without_credentials(self, address: str) -> Caller | None:
        """Who somebody without credentials is: anyone (``none``), a guest (``optional``), or nobody."""
        if self.mode is AuthMode.NONE:
            return Caller(ANYONE)
        if self.mode is AuthMode.OPTIONAL:
            return Caller(principal_of(f"guest:{self._guest_id(address)}", Role.GUEST, "guest"))
        return None

    def _guest_id(self, address: str) -> str:
        """Guests are told apart by address. The same after a restart, and no address can be read from it."""
        return hashlib.blake2b(address.encode(), key=self._ring.newest().key("guests"), digest_size=8).hexdigest()

    async def _identity(self, session: Session) -> Identity | None:
        """Who the session speaks for, with today's role; None when its account is gone or belongs to another mode."""
        known = Identity(session.principal, session.role, session.method, api_key_id=session.api_key_id)
        if session.method == "api-key":
            return await self.api_keys.still(known)
        expected = {
            AuthMode.JWT: "jwt",
            AuthMode.OPTIONAL: "jwt",
            AuthMode.UNIX: "unix",
            AuthMode.PAM: "pam",
            AuthMode.OIDC: "oidc",
        }
        if self._checker is None or expected.get(self.mode) != session.method:
            return None
        return await self._checker.still(known)

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._salt, text.encode(), hashlib.sha256)
