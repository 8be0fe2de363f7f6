"""Signing in through a real OpenID Connect provider, and what keeps others out."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.errors import InvalidInput
from sdrest.web.http.keys import ACCESS
from tests.identity_provider import PROVIDER_WARNINGS, IdentityProvider, identity_provider, query_of
from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]
BEGIN = "/ui/login/oidc"
pytestmark = PROVIDER_WARNINGS


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.fixture(scope="module")
def module_provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def provider(module_provider: IdentityProvider) -> Iterator[IdentityProvider]:
    yield module_provider
    module_provider.spoilt.clear()
    module_provider.is_terse = False
    module_provider.token_requests.clear()


def settings(provider: IdentityProvider, **more: Any) -> dict[str, Any]:
    return {
        "auth": "oidc",
        "oidc_issuer": provider.issuer,
        "oidc_client_id": "sdrest",
        "oidc_users": ["painters"],
        **more,
    }


async def begun(client: Client, query: str = "", base: str = "") -> str:
    """The address that the browser is sent to."""
    reply = await client.get(f"{base}{BEGIN}{query}", allow_redirects=False)
    assert reply.status == 303, await reply.text()
    return reply.headers["Location"]


async def come_back(client: Client, address: str) -> tuple[int, str]:
    """Status and text of the page that somebody sees who is sent back."""
    url = urlsplit(address)
    reply = await client.get(f"{url.path}?{url.query}", allow_redirects=False)
    return reply.status, await reply.text()


async def signed_in(client: Client, provider: IdentityProvider, sub: str = "1") -> tuple[int, str]:
    return await come_back(client, provider.signed_in(await begun(client), sub))


async def me(client: Client) -> dict[str, Any] | None:
    reply = await client.get("/api/auth/me")
    return dict(await reply.json()) if reply.status == 200 else None


async def test_who_signs_in_at_the_provider_has_a_session_here_until_logout(
    client_factory: ClientFactory, provider: IdentityProvider, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("very secret\n")
    client = await client_factory(
        **settings(provider, oidc_client_secret_file=secret, oidc_admins=["staff"], oidc_title="the company")
    )
    sent = await client.get("/ui/queue?page=1", headers={"Accept": "text/html"})
    page = await sent.text()
    assert "Sign in with the company" in page
    assert "password" not in page
    link = re.search(rf'href="({BEGIN}[^"]*)"', page)
    assert link is not None
    address = await begun(client, link[1].removeprefix(BEGIN))
    asked = query_of(address)
    assert address.startswith(f"{provider.issuer}/oauth2/authorize?")
    assert asked["redirect_uri"] == f"http://127.0.0.1:{client.port}{BEGIN}/callback"
    assert (asked["response_type"], asked["scope"]) == ("code", "openid profile email")
    status, page = await come_back(client, provider.signed_in(address, "1"))
    assert status == 200
    assert '<meta http-equiv="refresh" content="0;url=/ui/queue?page=1">' in page
    (sent_form,) = provider.token_requests
    digest = hashlib.sha256(sent_form["code_verifier"].encode()).digest()
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert await me(client) == {
        "username": "ann",
        "role": "admin",
        "permissions": ["view", "generate", "manage_models", "manage_queue", "work", "admin"],
        "auth_method": "oidc",
    }
    assert (await client.post("/api/generate/text2img", json=SMALL)).status == 202
    assert "Signed in as ann" in await (await client.get("/ui/")).text()
    cookies = {cookie.key: cookie for cookie in client.session.cookie_jar}
    assert cookies["sdrest_session"]["samesite"] == "Strict"
    assert "sdrest_sign_in" not in cookies
    await client.post("/ui/logout")
    assert await me(client) is None


async def test_below_a_path_the_provider_is_told_the_whole_address(
    client_factory: ClientFactory, provider: IdentityProvider
) -> None:
    client = await client_factory(**settings(provider, base_path="/sd"))
    address = await begun(client, "?next=/ui/gallery", base="/sd")
    assert query_of(address)["redirect_uri"] == f"http://127.0.0.1:{client.port}/sd{BEGIN}/callback"
    status, page = await come_back(client, provider.signed_in(address, "1"))
    assert status == 200
    assert 'content="0;url=/sd/ui/gallery"' in page
    assert (await client.get("/sd/api/auth/me")).status == 200


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "x"}, "was not begun in this browser"),
        ({"iss": "https://else.example"}, "another provider"),
        ({"code": "x"}, "does not accept the sign-in (invalid_grant)"),
    ],
)
async def test_an_answer_that_was_changed_on_the_way_signs_nobody_in(
    client_factory: ClientFactory, provider: IdentityProvider, change: dict[str, str], told: str
) -> None:
    client = await client_factory(**settings(provider))
    back = provider.signed_in(await begun(client), "1")
    changed = urlsplit(back)._replace(query=urlencode({**query_of(back), **change})).geturl()
    status, page = await come_back(client, changed)
    assert status == 401
    assert told in page
    assert await me(client) is None


async def test_only_the_browser_that_began_a_sign_in_can_end_it(
    client_factory: ClientFactory, provider: IdentityProvider
) -> None:
    client = await client_factory(**settings(provider))
    back = provider.signed_in(await begun(client), "1")
    client.session.cookie_jar.clear()
    assert (await come_back(client, back))[0] == 401
    # Nor with the cookie of another sign-in, or one that nobody here has signed.
    await begun(client)
    assert (await come_back(client, back))[0] == 401
    client.session.cookie_jar.update_cookies({"sdrest_sign_in": "e30.e30.x"})
    assert (await come_back(client, back))[0] == 401
    assert await me(client) is None
    assert not provider.token_requests


async def test_a_sign_in_that_was_begun_too_long_ago_is_over(
    client_factory: ClientFactory, provider: IdentityProvider
) -> None:
    client = await client_factory(**settings(provider))
    back = provider.signed_in(await begun(client), "1")
    assert client.app is not None
    signing_in = client.app[ACCESS].provider
    assert signing_in is not None
    now = signing_in._clock()
    signing_in._clock = lambda: now + 601
    assert (await come_back(client, back))[0] == 401


async def test_a_token_that_was_made_for_another_sign_in_is_refused(
    client_factory: ClientFactory, provider: IdentityProvider
) -> None:
    client = await client_factory(**settings(provider))
    address = await begun(client)
    other = urlsplit(address)._replace(query=urlencode({**query_of(address), "nonce": "of another sign-in"})).geturl()
    status, page = await come_back(client, provider.signed_in(other, "1"))
    assert (status, "ID token is not good" in page) == (401, True)
    assert await me(client) is None


@pytest.mark.parametrize(
    "spoilt",
    [
        {"aud": ["another-client"]},
        {"aud": ["another-client", "third"]},
        {"iss": "https://else.example"},
        {"exp": -3600},
        {"alg": "HS256", "key": {"kty": "oct", "k": "c2RyZXN0LWtleS1vZi1zb21lYm9keS1lbHNlISE"}},
    ],
    ids=["audience", "audiences", "issuer", "expired", "shared-secret"],
)
async def test_a_token_that_is_not_for_this_server_and_now_is_refused(
    client_factory: ClientFactory, provider: IdentityProvider, spoilt: dict[str, Any]
) -> None:
    client = await client_factory(**settings(provider))
    provider.spoilt.update(spoilt)
    status, page = await signed_in(client, provider)
    assert (status, "ID token is not good" in page) == (401, True), page
    assert await me(client) is None


async def test_a_token_of_another_signer_is_refused_and_new_keys_of_the_provider_are_found(
    client_factory: ClientFactory, provider: IdentityProvider
) -> None:
    from joserfc.jwk import RSAKey

    client = await client_factory(**settings(provider))
    assert (await signed_in(client, provider))[0] == 200
    await client.post("/ui/logout")
    new = RSAKey.generate_key(2048).as_dict(private=True)
    provider.spoilt["key"] = new
    assert (await signed_in(client, provider))[0] == 401
    provider.spoilt.clear()
    kept, provider.storage.jwk = provider.storage.jwk, type(provider.storage.jwk).import_key(new)
    assert (await signed_in(client, provider))[0] == 200
    provider.storage.jwk = kept


@pytest.mark.parametrize(
    ("more", "roles"),
    [
        ({"oidc_users": ["painters"]}, ["user", None, None]),
        ({"oidc_users": ["painters"], "oidc_viewers": ["*"]}, ["user", "viewer", "viewer"]),
        ({"oidc_users": [], "oidc_domains": ["example.org"]}, ["user", None, None]),
        ({"oidc_users": ["*"], "oidc_admins": ["others"]}, ["user", "user", "admin"]),
    ],
)
async def test_groups_and_domains_say_who_gets_in_and_as_what(
    client_factory: ClientFactory, provider: IdentityProvider, more: dict[str, Any], roles: list[str | None]
) -> None:
    client = await client_factory(**settings(provider, **more))
    for sub, role in zip("123", roles, strict=True):
        status, page = await signed_in(client, provider, sub)
        found = await me(client)
        assert (found["role"] if found else None) == role, page
        assert status == (200 if role else 403)
        client.session.cookie_jar.clear()


async def test_what_the_id_token_leaves_out_is_asked_for(
    client_factory: ClientFactory, provider: IdentityProvider
) -> None:
    client = await client_factory(**settings(provider))
    provider.is_terse = True
    assert (await signed_in(client, provider))[0] == 200
    found = await me(client)
    assert found is not None
    assert (found["username"], found["role"]) == ("ann", "user")


async def test_nobody_gets_a_name_that_guests_have(client_factory: ClientFactory, provider: IdentityProvider) -> None:
    client = await client_factory(**settings(provider))
    status, page = await signed_in(client, provider, "4")
    assert (status, "cannot be a user name" in page) == (403, True)


async def test_who_refuses_at_the_provider_is_told_so(
    client_factory: ClientFactory, provider: IdentityProvider
) -> None:
    client = await client_factory(**settings(provider))
    state = query_of(await begun(client))["state"]
    status, page = await come_back(client, f"{BEGIN}/callback?error=access_denied&state={state}")
    assert (status, "has not signed you in (access_denied)" in page) == (401, True)


async def test_a_provider_that_is_away_or_another_one_is_a_page_and_no_failure(
    client_factory: ClientFactory, provider: IdentityProvider, tmp_path: Path
) -> None:
    client = await client_factory(**settings(provider, oidc_issuer="http://localhost:9"))
    reply = await client.get(BEGIN, allow_redirects=False)
    assert reply.status == 503
    assert "localhost:9, through which people sign in here, does not answer as it should" in await reply.text()
    # An address at which there is a provider that calls itself otherwise.
    other = await client_factory(**settings(provider, oidc_issuer=f"{provider.issuer}/", data_dir=tmp_path / "other"))
    assert (await other.get(BEGIN, allow_redirects=False)).status == 503


async def test_failures_from_one_address_are_slowed_down(
    client_factory: ClientFactory, provider: IdentityProvider
) -> None:
    client = await client_factory(**settings(provider, login_max_failures=2))
    assert [(await come_back(client, f"{BEGIN}/callback"))[0] for _ in range(3)] == [401, 401, 429]


async def test_programs_have_keys_and_no_passwords(client_factory: ClientFactory, provider: IdentityProvider) -> None:
    client = await client_factory(**settings(provider))
    reply = await client.post("/api/auth/login", json={"username": "ann", "password": "x"})
    assert reply.status == 400
    assert "through their provider" in (await reply.json())["error"]


async def test_where_there_is_no_provider_there_is_no_way_to_it(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    assert (await client.get(BEGIN)).status == 404
    assert BEGIN not in await (await client.get("/ui/login")).text()


async def test_settings_by_which_nobody_could_sign_in_are_refused(
    client_factory: ClientFactory, provider: IdentityProvider, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for more, told in (
        ({"oidc_users": []}, "oidc_users: names nobody who may sign in"),
        ({"oidc_issuer": ""}, "oidc_issuer: must be the provider's address"),
        ({"oidc_issuer": "login.example.org"}, "oidc_issuer: must be the provider's address"),
        ({"oidc_issuer": "http://login.example.org"}, "oidc_issuer: must be https://"),
        ({"oidc_client_id": ""}, "oidc_client_id: is needed"),
        ({"oidc_scopes": ["profile"]}, "oidc_scopes: must hold openid"),
        ({"oidc_name_claim": ""}, "oidc_name_claim: must name a claim"),
        ({"oidc_client_secret_file": empty}, "oidc_client_secret_file: .* is empty"),
        ({"oidc_client_secret_file": tmp_path / "no"}, "oidc_client_secret_file: cannot read"),
    ):
        with pytest.raises(InvalidInput, match=told):
            await client_factory(**settings(provider, **more))
