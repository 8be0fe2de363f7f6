"""What is asked of an OpenID Connect provider, by authlib: its addresses and keys, tokens for a code, and more of somebody.

This module is loaded when somebody signs in for the first time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from sdrest.auth.provider import is_secure
from sdrest.core.errors import Unauthorized, Unavailable

log = structlog.get_logger(__name__)

_TIMEOUT_SECONDS: Final = 15.0
#: How long the provider's addresses and keys are good; keys that are not among them are asked for at once.
_REMEMBER_SECONDS: Final = 3600.0
#: How far the provider's clock may be off.
_LEEWAY_SECONDS: Final = 60
#: Only signatures that nobody but the provider can make: no shared secrets, and not "none".
_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "ES256",
    "ES384",
    "ES512",
    "PS256",
    "PS384",
    "PS512",
    "EdDSA",
    "Ed25519",
)
_ADDRESSES: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class OpenId:
    """One provider, as one client of it sees it.

    Args:
        issuer: Its address, as it calls itself.
        client_id: What it knows this server by.
        client_secret: What this server shows; empty for a public client.
        scopes: What is asked for.
        clock: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        *,
        scopes: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = " ".join(scopes)
        self._clock = clock
        self._tls = httpx2.create_ssl_context()
        self._lock = asyncio.Lock()
        self._metadata: tuple[float, Mapping[str, Any]] = (0.0, {})
        self._keys: tuple[float, KeySet | None] = (0.0, None)

    async def address(self, back: str, *, state: str, nonce: str, verifier: str) -> str:
        """Where somebody is sent to sign in.

        Raises:
            Unavailable: the provider does not tell its addresses.
        """
        metadata = await self._described()
        async with self._client(metadata, back) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=state, code_verifier=verifier, nonce=nonce
            )
        return str(url)

    async def claims(
        self, code: str, back: str, *, verifier: str, nonce: str, lacks: Callable[[Mapping[str, Any]], bool]
    ) -> Mapping[str, Any]:
        """What the provider says of whom it gave ``code``; where that ``lacks`` something, with what it says when it is asked.

        Raises:
            Unauthorized: the code is not good, or the ID token is not for this server and this sign-in.
            Unavailable: the provider does not answer as one.
        """
        metadata = await self._described()
        async with self._client(metadata, back) as client:
            try:
                token = await client.fetch_token(metadata["token_endpoint"], code=code, code_verifier=verifier)
                claims = await self._read(str(token.get("id_token", "")), nonce, str(token.get("access_token", "")))
                asked = metadata.get("userinfo_endpoint")
                if lacks(claims) and asked:
                    more = self._object(await client.get(asked))
                    if more.get("sub") == claims["sub"]:  # else it is somebody else's
                        claims = {**more, **claims}
            except OAuthError as error:
                log.warning("the identity provider gives no tokens", error=error.error, description=error.description)
                raise Unauthorized(f"the provider does not accept the sign-in ({error.error})") from None
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
                raise self._away(error) from None
        return claims

    async def _read(self, text: str, nonce: str, access_token: str) -> Mapping[str, Any]:
        """The claims of an ID token; it is a :class:`ValueError` where the provider's keys are none."""
        try:
            try:
                token = self._verified(text, await self._key_set())
            except (InvalidKeyIdError, BadSignatureError):  # the provider may have changed its keys
                token = self._verified(text, await self._key_set(fresh=True))
            wanted = {"iss": self._issuer, "aud": self._client_id}
            claims = CodeIDToken(
                token.claims,
                token.header,
                {name: {"essential": True, "value": value} for name, value in wanted.items()},
                {"nonce": nonce, "client_id": self._client_id, "access_token": access_token},
            )
            claims.validate(leeway=_LEEWAY_SECONDS)
        except JoseError as error:
            log.warning("an ID token was refused", error=error.error, description=error.description)
            raise Unauthorized(f"the provider's ID token is not good for this sign-in ({error.error})") from None
        return dict(claims)

    def _verified(self, text: str, keys: KeySet) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(_ALGORITHMS), strict_check_header=False)
        return jwt.decode(text, keys, registry=registry)

    async def _described(self) -> Mapping[str, Any]:
        """What the provider tells of itself (OpenID Connect Discovery)."""
        async with self._lock:
            until, known = self._metadata
            if self._clock() < until:
                return known
            try:
                found = self._object(await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"))
                if found.get("issuer") != self._issuer:
                    raise ValueError(
                        f"it calls itself {str(found.get('issuer'))[:200]!r}; oidc_issuer must be just that"
                    )
                for name in _ADDRESSES:
                    if not is_secure(str(found.get(name, ""))):
                        raise ValueError(f"its {name} is no https address")
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
                raise self._away(error) from None
            self._metadata = (self._clock() + _REMEMBER_SECONDS, found)
            return found

    async def _key_set(self, *, fresh: bool = False) -> KeySet:
        until, keys = self._keys
        if keys is None or fresh or self._clock() >= until:
            metadata = await self._described()
            found = self._object(await self._get(metadata["jwks_uri"]))
            try:
                keys = KeySet.import_key_set(found)  # type: ignore[arg-type]
            except (JoseError, KeyError, TypeError) as error:
                raise ValueError(f"its keys cannot be read: {error}") from None
            self._keys = (self._clock() + _REMEMBER_SECONDS, keys)
        return keys

    def _client(self, metadata: Mapping[str, Any], back: str) -> AsyncOAuth2Client:
        method = "none"
        if self._client_secret:
            known = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
            method = "client_secret_basic" if "client_secret_basic" in known else "client_secret_post"
        return AsyncOAuth2Client(
            self._client_id,
            self._client_secret or None,
            token_endpoint_auth_method=method,
            scope=self._scope,
            redirect_uri=back,
            code_challenge_method="S256",
            verify=self._tls,
            timeout=_TIMEOUT_SECONDS,
        )

    async def _get(self, url: str) -> httpx2.Response:
        async with httpx2.AsyncClient(verify=self._tls, timeout=_TIMEOUT_SECONDS) as client:
            return await client.get(url)

    def _object(self, reply: httpx2.Response) -> dict[str, Any]:
        reply.raise_for_status()
        value = reply.json()
        if not isinstance(value, dict):
            raise ValueError("it answers something else than a JSON object")  # noqa: TRY004 - as one that is no JSON
        return value

    def _away(self, error: Exception) -> Unavailable:
        log.warning("the identity provider does not answer as one", issuer=self._issuer, error=str(error)[:300])
        where = urlsplit(self._issuer).netloc
        return Unavailable(f"{where}, through which people sign in here, does not answer as it should; try again later")
