"""Signed tokens: JSON Web Tokens (RFC 7519) with HS256 and no other algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sdrest.auth.keyring import KeyRing

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "sdrest"
_PURPOSE: Final = "session tokens"
_REQUIRED: Final = ["exp", "iat", "iss", "sub", "sid", "typ", "jti"]
#: Longest token looked at, in characters; ours have about 350.
_LONGEST: Final = 2048


class TokenKind(StrEnum):
    """What a token is good for; none is taken for another."""

    ACCESS = "access"
    REFRESH = "refresh"
    BROWSER = "browser"


@dataclass(frozen=True, slots=True)
class Token:
    """A token whose signature is right and that has not expired."""

    kind: TokenKind
    id: str
    session_id: str
    principal: str
    expires_at: datetime


class Tokens:
    """Issues and reads tokens."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def issue(
        self, kind: TokenKind, *, token_id: str, session_id: str, principal: str, now: datetime, expires_at: datetime
    ) -> str:
        """A signed token."""
        import jwt  # noqa: PLC0415 - it brings much cryptography along, and most servers have no tokens

        secret = self._ring.newest()
        claims = {
            "iss": _ISSUER,
            "sub": principal,
            "sid": session_id,
            "typ": kind.value,
            "jti": token_id,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        return jwt.encode(claims, secret.key(_PURPOSE), algorithm=_ALGORITHM, headers={"kid": secret.id})

    def read(self, text: str, now: datetime) -> Token | None:
        """The token, or None when it is not ours, was changed, or has expired."""
        if len(text) > _LONGEST:
            return None
        import jwt  # noqa: PLC0415 - as above

        try:
            secret = self._ring.find(str(jwt.get_unverified_header(text).get("kid", "")))
            if secret is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                text,
                secret.key(_PURPOSE),
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
            )
            expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
            kind = TokenKind(claims["typ"])
        except (jwt.InvalidTokenError, ValueError):
            return None
        if expires_at <= now:
            return None
        return Token(kind, str(claims["jti"]), str(claims["sid"]), str(claims["sub"]), expires_at)
