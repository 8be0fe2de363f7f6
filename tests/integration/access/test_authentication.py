"""Who gets in: every route, every kind of credential, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.auth.api_keys import parse_permissions
from sdrest.auth.setup import Access
from sdrest.core.errors import TooManyRequests, Unauthorized
from sdrest.core.principal import Role
from sdrest.web.http.access import PUBLIC_ROUTES, is_public
from sdrest.web.http.keys import ACCESS
from tests.integration.conftest import SMALL

Client = TestClient[Any, Any]
ClientFactory = Callable[..., Awaitable[Client]]
PASSWORD = "correct horse battery"


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


def access(client: Client) -> Access:
    assert client.app is not None
    found: Access = client.app[ACCESS]
    return found


@pytest.fixture(autouse=True)
def hashes(cheap_hashes: None) -> None:
    """These tests are about what happens around the hashing."""


async def add_user(client: Client, name: str, role: Role = Role.USER) -> None:
    await access(client).directory.add(name, PASSWORD, role)


async def log_in(client: Client, name: str, password: str = PASSWORD) -> dict[str, Any]:
    reply = await client.post("/api/auth/login", json={"username": name, "password": password})
    assert reply.status == 200, await reply.text()
    body: dict[str, Any] = await reply.json()
    return body


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def key_of(client: Client, name: str = "script", *scopes: str, owner: str = "") -> str:
    keys = access(client).authentication.api_keys
    return (await keys.create(name, owner=owner, permissions=parse_permissions(scopes or ("generate",))))[1]


@pytest.mark.parametrize("mode", ["jwt", "api-key", "unix", "pam"])
async def test_every_route_but_the_public_ones_asks_for_credentials(client_factory: ClientFactory, mode: str) -> None:
    client = await client_factory(auth=mode)
    open_routes, asked = set(), 0
    for route in client.app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if is_public(route.method, path):
            continue
        for part in ("job_id", "filename", "username", "key", "name", "id", "model_id", "tail"):
            path = path.replace("{" + part + "}", "x")
        method = "GET" if route.method == "*" else route.method
        reply = await client.request(method, path, allow_redirects=False)
        asked += 1
        if reply.status != 401 or "WWW-Authenticate" not in reply.headers:
            open_routes.add(f"{method} {path}: {reply.status}")
    assert not open_routes
    assert asked > 30


async def test_the_public_routes_answer_without_credentials(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    for method, path in PUBLIC_ROUTES:
        if method == "GET" and path.startswith(("/api/", "/docs", "/openapi")):
            address = path.format(group="queue", entry="post_queue_cancel")
            assert (await client.get(address)).status == 200, path


async def test_a_path_that_does_not_exist_is_not_revealed(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    assert (await client.get("/api/nothing")).status == 401


async def test_login_gives_tokens_that_work_until_logout(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "ann")
    tokens = await log_in(client, "ann")
    assert tokens["token"] == tokens["access_token"]
    assert tokens["token_type"] == "bearer"
    assert tokens["user"] == {"username": "ann", "role": "user"}
    headers = bearer(tokens["token"])
    me = await (await client.get("/api/v1/auth/profile", headers=headers)).json()
    assert me == {"username": "ann", "role": "user", "permissions": ["view", "generate"], "auth_method": "jwt"}
    valid = await (await client.get("/api/auth/validate", headers=headers)).json()
    assert valid["valid"] is True
    assert valid["expires_at"] == tokens["expires_at"]
    assert (await (await client.post("/api/auth/logout", headers=headers)).json()) == {"success": True}
    assert (await client.get("/api/auth/me", headers=headers)).status == 401
    gone = await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert gone.status == 401


async def test_a_logout_survives_a_restart(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "ann")
    kept, ended = await log_in(client, "ann"), await log_in(client, "ann")
    await client.post("/api/auth/logout", headers=bearer(ended["token"]))
    await client.close()
    client = await client_factory(auth="jwt")
    assert (await client.get("/api/auth/me", headers=bearer(kept["token"]))).status == 200
    assert (await client.get("/api/auth/me", headers=bearer(ended["token"]))).status == 401


async def test_a_refresh_token_works_once_and_its_second_use_ends_the_session(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "ann")
    first = await log_in(client, "ann")
    body = {"refresh_token": first["refresh_token"]}
    second = await (await client.post("/api/auth/refresh", json=body)).json()
    assert (await client.get("/api/auth/me", headers=bearer(second["token"]))).status == 200
    assert (await client.post("/api/auth/refresh", json=body)).status == 401
    assert (await client.get("/api/auth/me", headers=bearer(second["token"]))).status == 401


async def test_tokens_of_one_kind_are_not_taken_for_another(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "ann")
    tokens = await log_in(client, "ann")
    assert (await client.get("/api/auth/me", headers=bearer(tokens["refresh_token"]))).status == 401
    assert (await client.get("/api/auth/me", cookies={"sdrest_session": tokens["token"]})).status == 401
    with_access = await client.post("/api/auth/refresh", headers=bearer(tokens["token"]))
    assert with_access.status == 200


async def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "ann")
    replies = []
    for name in ("ann", "nobody"):
        reply = await client.post("/api/auth/login", json={"username": name, "password": "wrong password"})
        replies.append((reply.status, (await reply.json())["error"]))
    assert replies == [(401, "wrong user name or password")] * 2


async def test_an_account_is_locked_after_failures_even_for_the_right_password(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt", login_max_failures=3)
    await add_user(client, "ann")
    await add_user(client, "bob")
    for _ in range(3):
        assert (await client.post("/api/auth/login", json={"username": "ann", "password": "x"})).status == 401
    locked = await client.post("/api/auth/login", json={"username": "ann", "password": PASSWORD})
    assert locked.status == 429
    assert int(locked.headers["Retry-After"]) > 1
    assert (await log_in(client, "bob"))["user"]["username"] == "bob"


async def test_roles_decide_what_a_caller_may_do(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    for role in (Role.VIEWER, Role.USER, Role.ADMIN):
        await add_user(client, str(role), role)
    headers = {role: bearer((await log_in(client, role))["token"]) for role in ("viewer", "user", "admin")}
    for name, look, make, manage in (("viewer", 200, 403, 403), ("user", 200, 202, 403), ("admin", 200, 202, 200)):
        assert (await client.get("/api/queue/status", headers=headers[name])).status == look
        made = await client.post("/api/generate/text2img", json=SMALL, headers=headers[name])
        assert made.status == make
        assert (await client.get("/api/users", headers=headers[name])).status == manage


async def test_a_removed_account_is_out_at_once(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "root", Role.ADMIN)
    await add_user(client, "ann")
    admin, ann = [bearer((await log_in(client, name))["token"]) for name in ("root", "ann")]
    assert (await client.delete("/api/users/ann", headers=admin)).status == 200
    assert (await client.get("/api/auth/me", headers=ann)).status == 401
    last = await client.patch("/api/users/root", json={"role": "user"}, headers=admin)
    assert last.status == 409


async def test_a_changed_password_ends_the_sessions(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "root", Role.ADMIN)
    await add_user(client, "ann")
    admin, ann = [bearer((await log_in(client, name))["token"]) for name in ("root", "ann")]
    done = await client.patch("/api/users/ann", json={"password": "another password"}, headers=admin)
    assert done.status == 200
    assert (await client.get("/api/auth/me", headers=ann)).status == 401
    assert (await log_in(client, "ann", "another password"))["user"]["username"] == "ann"


@pytest.mark.parametrize("how", ["bearer", "header", "basic-password", "basic-name"])
async def test_an_api_key_is_accepted_in_every_form(client_factory: ClientFactory, how: str) -> None:
    client = await client_factory(auth="api-key")
    key = await key_of(client)
    headers = {
        "bearer": bearer(key),
        "header": {"X-API-Key": key},
        "basic-password": basic("anything", key),
        "basic-name": basic(key, ""),
    }[how]
    me = await (await client.get("/api/auth/me", headers=headers)).json()
    assert me["username"] == "key:script"
    assert me["auth_method"] == "api-key"
    assert me["permissions"] == ["view", "generate"]


async def test_a_key_made_over_http_works_until_it_is_revoked(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="api-key")
    admin = bearer(await key_of(client, "admin", "admin"))
    made = await (await client.post("/api/tokens", json={"name": "ci", "expires_days": 1}, headers=admin)).json()
    assert (await client.get("/api/queue/status", headers=bearer(made["key"]))).status == 200
    listed = (await (await client.get("/api/tokens", headers=admin)).json())["tokens"]
    assert [item["name"] for item in listed] == ["admin", "ci"]
    assert listed[1]["last_used_at"] is not None
    assert made["key"] not in str(listed)
    assert (await client.delete("/api/tokens/ci", headers=admin)).status == 200
    assert (await client.get("/api/queue/status", headers=bearer(made["key"]))).status == 401


async def test_a_key_never_outranks_or_outlives_its_owner(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "root", Role.ADMIN)
    await add_user(client, "ann", Role.VIEWER)
    key = bearer(await key_of(client, "k", "generate", "admin", owner="ann"))
    me = await (await client.get("/api/auth/me", headers=key)).json()
    assert (me["username"], me["permissions"]) == ("ann", ["view"])
    await access(client).directory.remove("ann")
    assert (await client.get("/api/auth/me", headers=key)).status == 401


async def test_name_and_password_may_come_with_each_request(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "ann")
    for _ in range(2):
        assert (await client.get("/api/auth/me", headers=basic("ann", PASSWORD))).status == 200
    assert (await client.get("/api/auth/me", headers=basic("ann", "wrong"))).status == 401
    await access(client).directory.set_password("ann", "another password")
    assert (await client.get("/api/auth/me", headers=basic("ann", PASSWORD))).status == 401


@pytest.mark.parametrize("header", ["Basic ", "Basic", "Basic !", "Bearer ", "Bearer x.y.z", "Digest a"])
async def test_without_authentication_no_header_is_refused(client: Client, header: str) -> None:
    assert (await client.get("/api/queue/status", headers={"Authorization": header})).status == 200


@pytest.mark.parametrize("header", ["Basic ", "Basic !", "Basic eA==", "Bearer x.y.z", "Bearer ", "Digest a"])
async def test_with_authentication_faulty_headers_are_401(client_factory: ClientFactory, header: str) -> None:
    client = await client_factory(auth="jwt")
    assert (await client.get("/api/queue/status", headers={"Authorization": header})).status == 401


async def test_without_authentication_everybody_is_admin_and_nobody_can_log_in(client: Client) -> None:
    me = await (await client.get("/api/auth/me")).json()
    assert (me["role"], me["auth_method"]) == ("admin", "none")
    reply = await client.post("/api/auth/login", json={"username": "a", "password": "b"})
    assert reply.status == 400


async def test_a_page_of_another_site_cannot_use_a_local_server(client: Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await client.post("/api/generate/text2img", json=SMALL, headers=headers)).status == 403
    with pytest.raises(Exception, match="403"):
        await client.ws_connect("/api/ws", origin="https://evil.example")
    own = {"Origin": f"http://{client.host}:{client.port}"}
    assert (await client.post("/api/generate/text2img", json=SMALL, headers=own)).status == 202


async def test_clients_of_the_a1111_api_use_basic(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="jwt")
    await add_user(client, "ann")
    asked = await client.get("/sdapi/v1/samplers")
    assert asked.status == 401
    assert asked.headers["WWW-Authenticate"].startswith("Basic realm=")
    key = await key_of(client)
    for headers in (basic("ann", PASSWORD), basic("user", key), bearer(key)):
        assert (await client.get("/sdapi/v1/samplers", headers=headers)).status == 200


async def test_the_openai_api_refuses_in_its_own_words(client_factory: ClientFactory) -> None:
    client = await client_factory(auth="api-key")
    reply = await client.get("/v1/models", headers=bearer("sk-wrong"))
    assert reply.status == 401
    assert (await reply.json())["error"]["code"] == "invalid_api_key"


async def test_a_key_is_the_password_of_the_login_page_and_others_failures_do_not_lock_it(
    client_factory: ClientFactory,
) -> None:
    client = await client_factory(auth="api-key", login_max_failures=2)
    key = await key_of(client)
    auth = access(client).authentication
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await auth.log_in("", "wrong", "192.0.2.1")
    with pytest.raises(TooManyRequests):
        await auth.log_in("other name", key, "192.0.2.1")
    tokens = await log_in(client, "", key)
    headers = bearer(tokens["token"])
    assert (await (await client.get("/api/auth/me", headers=headers)).json())["username"] == "key:script"
    await auth.api_keys.revoke("script")
    assert (await client.get("/api/auth/me", headers=headers)).status == 401
