"""Logins that last: a session on disk, and the tokens that refer to it.

Logging out revokes the session, and with it every token of it, at once and across restarts. A refresh token works once; a second
use means that it was stolen, by whoever came first or second, and ends the session (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sdrest.auth.accounts import AccountStore, Session
from sdrest.auth.audit import alarm
from sdrest.auth.identity import Identity
from sdrest.auth.tokens import Token, TokenKind, Tokens


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login or a refresh gives to a program."""

    access_token: str
    refresh_token: str
    #: Life of the access token.
    expires_in_seconds: int
    session_id: str
    #: The tokens' own ends.
    access_expires_at: datetime
    refresh_expires_at: datetime


class Sessions:
    """Opens, finds, refreshes and ends sessions."""

    def __init__(
        self,
        store: AccountStore,
        tokens: Tokens,
        *,
        access_lifetime: timedelta,
        session_lifetime: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._access_lifetime = access_lifetime
        self._session_lifetime = session_lifetime
        self._clock = clock

    async def open(self, identity: Identity) -> TokenPair:
        """A new session for a program."""
        session = self._new(identity, refresh_id=secrets.token_hex(16))
        await self._store.add_session(session)
        return self._pair(session.id, session.principal, session.refresh_id, session.expires_at)

    async def open_in_browser(self, identity: Identity) -> tuple[str, int]:
        """A new session for a browser: the text of its cookie and its life in seconds."""
        session = self._new(identity, refresh_id="")
        await self._store.add_session(session)
        text = self._tokens.issue(
            TokenKind.BROWSER,
            token_id=secrets.token_hex(16),
            session_id=session.id,
            principal=session.principal,
            now=session.created_at,
            expires_at=session.expires_at,
        )
        return text, int(self._session_lifetime.total_seconds())

    def read(self, text: str) -> Token | None:
        """The token, or None when it is not ours or has expired. Whether its session lives is asked of :meth:`find`."""
        return self._tokens.read(text, self._now())

    async def find(self, token: Token) -> Session | None:
        """The live session of a token, or None."""
        session = await self._store.get_session(token.session_id)
        if session is None or session.revoked_at is not None or session.expires_at <= self._now():
            return None
        return session

    async def refresh(self, session: Session, identity: Identity, used: Token) -> TokenPair | None:
        """New tokens for a live session; None when the refresh token was used before, and the session is over then.

        A valid access token will do too (clients of the older server send nothing else); it cannot make the session longer.
        """
        now = self._now()
        is_refresh = used.kind is TokenKind.REFRESH
        new = secrets.token_hex(16)
        expires_at = now + self._session_lifetime if is_refresh else session.expires_at
        old = used.id if is_refresh else session.refresh_id
        if await self._store.rotate(session.id, old=old, new=new, role=identity.role, expires_at=expires_at):
            return self._pair(session.id, session.principal, new, expires_at)
        if not is_refresh:
            return None  # Another refresh was faster; nobody has done anything wrong.
        await self._store.revoke_session(session.id, now)
        alarm("refresh token used twice; session ended", account=session.principal, session=session.id[:8])
        return None

    async def end(self, session_id: str) -> None:
        """Log out."""
        await self._store.revoke_session(session_id, self._now())

    def _now(self) -> datetime:
        """The time in whole seconds, as tokens hold it."""
        return self._clock().replace(microsecond=0)

    def _new(self, identity: Identity, *, refresh_id: str) -> Session:
        now = self._now()
        return Session(
            id=secrets.token_hex(16),
            principal=identity.name,
            role=identity.role,
            method=identity.method,
            api_key_id=identity.api_key_id,
            refresh_id=refresh_id,
            created_at=now,
            expires_at=now + self._session_lifetime,
        )

    def _pair(self, session_id: str, principal: str, refresh_id: str, session_ends: datetime) -> TokenPair:
        now = self._now()
        access_ends = min(now + self._access_lifetime, session_ends)

        def issue(kind: TokenKind, token_id: str, expires_at: datetime) -> str:
            return self._tokens.issue(
                kind, token_id=token_id, session_id=session_id, principal=principal, now=now, expires_at=expires_at
            )

        return TokenPair(
            access_token=issue(TokenKind.ACCESS, secrets.token_hex(16), access_ends),
            refresh_token=issue(TokenKind.REFRESH, refresh_id, session_ends),
            expires_in_seconds=int((access_ends - now).total_seconds()),
            session_id=session_id,
            access_expires_at=access_ends,
            refresh_expires_at=session_ends,
        )
