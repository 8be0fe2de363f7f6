"""Which permission a route needs, and which routes are public."""

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sdrest.app import build_app
from sdrest.core.errors import Forbidden
from sdrest.core.principal import Permission, Role, principal_of
from sdrest.settings import Settings
from sdrest.web.http.access import Handler, check_permission, is_public, permission_of, requires
from sdrest.web.http.keys import PRINCIPAL


async def plain(request: web.Request) -> web.Response:
    return web.Response()


@requires(Permission.MANAGE_MODELS)
async def guarded(request: web.Request) -> web.Response:
    return web.Response()


def test_a_route_that_says_nothing_needs_view_to_read_and_generate_to_do() -> None:
    assert permission_of("GET", plain) is Permission.VIEW
    assert permission_of("HEAD", plain) is Permission.VIEW
    assert permission_of("POST", plain) is Permission.GENERATE
    assert permission_of("DELETE", plain) is Permission.GENERATE


def test_a_marked_route_needs_what_it_says_for_every_method() -> None:
    assert permission_of("GET", guarded) is Permission.MANAGE_MODELS
    assert permission_of("POST", guarded) is Permission.MANAGE_MODELS


@pytest.mark.parametrize(
    ("method", "path", "public"),
    [
        ("GET", "/api/health", True),
        ("HEAD", "/api/v1/health", True),
        ("POST", "/api/health", False),
        ("POST", "/api/v1/auth/login", True),
        ("GET", "/api/auth/login", False),
        ("GET", "/api/queue/status", False),
        ("GET", None, False),
    ],
)
def test_only_the_listed_routes_are_public(method: str, path: str | None, public: bool) -> None:
    assert is_public(method, path) is public


@pytest.mark.parametrize(
    ("role", "method", "handler", "allowed"),
    [
        (Role.VIEWER, "GET", plain, True),
        (Role.VIEWER, "POST", plain, False),
        (Role.USER, "POST", plain, True),
        (Role.USER, "POST", guarded, False),
        (Role.ADMIN, "POST", guarded, True),
    ],
)
async def test_a_principal_reaches_only_what_its_role_permits(
    role: Role, method: str, handler: Handler, allowed: bool
) -> None:
    app = web.Application()
    app.router.add_route(method, "/thing", handler)
    request = make_mocked_request(method, "/thing")
    match = await app.router.resolve(request)
    match.add_app(app)
    request._match_info = match
    request[PRINCIPAL] = principal_of("ann", role, "jwt")
    if allowed:
        assert (await check_permission(request, match.handler)).status == 200
    else:
        with pytest.raises(Forbidden, match="permission"):
            await check_permission(request, match.handler)


_MODEL_CHANGES = {"load", "unload", "refresh", "batch", "convert", "upload", "delete"}
_QUEUE_CHANGES = {"pause", "resume", "priority", "move"}


def expected_permission(method: str, path: str) -> Permission | None:
    """What a route must need by its name; None where the default is right."""
    words = path.strip("/").split("/")
    if words[-2:] == ["prompts", "tokens"]:  # those of a text
        return None
    if {"users", "tokens", "accounts", "config", "restart", "log"} & set(words):
        return Permission.ADMIN
    if method in {"GET", "HEAD", "OPTIONS"}:
        return None
    if "models" in words and (words[-1] in _MODEL_CHANGES or method == "DELETE"):
        return Permission.MANAGE_MODELS
    if words[-1] in _QUEUE_CHANGES:
        return Permission.MANAGE_QUEUE
    return None


def test_routes_that_administer_need_more_than_users_have(tmp_path: Path) -> None:
    app = build_app(Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models"))
    seen, wrong = set(), []
    for route in app.router.routes():
        assert route.resource is not None
        expected = expected_permission(route.method, route.resource.canonical)
        if expected is not None:
            seen.add(expected)
            found = permission_of(route.method, route.handler)
            if found is not expected:
                wrong.append(f"{route.method} {route.resource.canonical}: {found}, not {expected}")
    assert not wrong
    assert seen == {Permission.ADMIN, Permission.MANAGE_MODELS, Permission.MANAGE_QUEUE}
