"""A real OpenID Connect provider in a thread, whose answers a test can spoil."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

#: For tests that use it: the package uses what authlib will not have for ever.
PROVIDER_WARNINGS: Final = pytest.mark.filterwarnings(
    "ignore:get_jwt_config:DeprecationWarning", "ignore::authlib.deprecate.AuthlibDeprecationWarning"
)
#: sub → claims.
PEOPLE: Final[dict[str, dict[str, object]]] = {
    "1": {
        "preferred_username": "ann",
        "email": "ann@example.org",
        "email_verified": True,
        "groups": ["painters", "staff"],
    },
    "2": {"preferred_username": "bob", "email": "bob@example.org", "email_verified": False, "groups": ["staff"]},
    "3": {"preferred_username": "cy", "email": "cy@else.example", "email_verified": True, "groups": ["others"]},
    "4": {"preferred_username": "guest:mallory", "groups": ["painters"]},
}


@dataclass
class IdentityProvider:
    """The provider at ``issuer``. ``token_requests`` are the forms that were posted to its token endpoint.

    What is in ``spoilt`` goes into what ID tokens are made with: ``iss``, ``exp`` (seconds from now), ``alg``, ``key``, ``aud``.
    """

    issuer: str
    storage: Any = None
    spoilt: dict[str, Any] = field(default_factory=dict)
    #: ID tokens say who it is and nothing more.
    is_terse: bool = False
    token_requests: list[dict[str, str]] = field(default_factory=list)

    def signed_in(self, address: str, sub: str) -> str:
        """Where the provider sends somebody who comes with ``address`` and signs in."""
        reply = httpx.post(address, data={"sub": sub})
        assert reply.status_code == 302, reply.text
        return reply.headers["Location"]


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider that knows :data:`PEOPLE`."""
    import authlib.deprecate  # it wants its warnings always shown

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)
        import flask
        import oidc_provider_mock
        from oidc_provider_mock import _app

    users = [oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in PEOPLE.items()]
    found = IdentityProvider("")
    real_config, real_info = _app.OpenIDCode.get_jwt_config, _app.OpenIDCode.generate_user_info

    def config(code: Any, grant: Any, client: Any = None) -> dict[str, Any]:
        return {**real_config(code, grant, client), **found.spoilt}

    def info(code: Any, user: Any, scope: str) -> Any:
        return {"sub": user.sub} if found.is_terse else real_info(code, user, scope)

    def look() -> None:
        found.storage = flask.g.oidc_provider_mock_storage
        if flask.request.path == "/oauth2/token":
            found.token_requests.append(flask.request.form.to_dict())

    with oidc_provider_mock.run_server_in_thread(user_claims=users) as server:
        found.issuer = f"http://localhost:{server.server_port}"
        server.app.before_request(look)
        _app.OpenIDCode.get_jwt_config = config
        _app.OpenIDCode.generate_user_info = info
        # Public clients too, as providers have them.
        _app.AuthorizationCodeGrant.TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]
        try:
            yield found
        finally:
            _app.OpenIDCode.get_jwt_config = real_config
            _app.OpenIDCode.generate_user_info = real_info


def query_of(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
