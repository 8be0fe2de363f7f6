"""Which permission a route needs, and which routes are public."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sdrest.core.errors import Forbidden
from sdrest.core.principal import Permission, Role, principal_of
from sdrest.web.access import Handler, check_permission, is_public, permission_of, requires
from sdrest.web.keys import PRINCIPAL


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
