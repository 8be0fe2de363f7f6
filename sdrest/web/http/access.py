"""Who may call which route: one list of public routes, and the permission that every other route needs.

A route that says nothing is protected: reading needs ``view``, everything else needs ``generate``. A handler that needs more::

    @requires(Permission.MANAGE_QUEUE)
    async def clear(request: web.Request) -> web.Response: ...

The middleware :func:`check_permission` runs after authentication and before every handler, dialects and pages included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from aiohttp import web

from sdrest.core.errors import Forbidden
from sdrest.core.principal import Permission
from sdrest.web.http.keys import PRINCIPAL
from sdrest.web.http.mounting import base_of
from sdrest.web.http.routing import API_PREFIXES

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
H = TypeVar("H", bound=Callable[..., Any])

_MARK: Final = "__required_permission__"
#: Methods that change nothing.
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})

#: The routes that answer without credentials, by method and canonical path.
PUBLIC_ROUTES: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        *(("GET", f"{prefix}/{name}") for prefix in API_PREFIXES for name in ("health", "status", "version")),
        *(("POST", f"{prefix}/auth/login") for prefix in API_PREFIXES),
        ("GET", "/ui/static/{name}"),
        ("GET", "/ui/static/{version}/{name}"),
        ("POST", "/ui/language"),
        ("GET", "/ui/offline"),
        ("GET", "/ui/service_worker.js"),
        ("GET", "/ui/login"),
        ("POST", "/ui/login"),
        ("GET", "/ui/login/oidc"),
        ("GET", "/ui/login/oidc/callback"),
        ("GET", "/health"),
        ("GET", "/docs"),
        ("GET", "/docs/{group}"),
        ("GET", "/docs/{group}/{entry}"),
        ("GET", "/openapi.json"),
    }
)

#: The routes whose handler looks at the credentials itself: they travel in the body.
SELF_CHECKING_ROUTES: Final[frozenset[tuple[str, str]]] = frozenset(
    ("POST", f"{prefix}/auth/refresh") for prefix in API_PREFIXES
)


def requires(permission: Permission) -> Callable[[H], H]:
    """Mark a handler: only principals with ``permission`` reach it."""

    def mark(handler: H) -> H:
        setattr(handler, _MARK, permission)
        return handler

    return mark


def permission_of(method: str, handler: Callable[..., Any]) -> Permission:
    """The permission that a route needs."""
    marked: Permission | None = getattr(handler, _MARK, None)
    if marked is not None:
        return marked
    return Permission.VIEW if method in READING else Permission.GENERATE


def is_public(method: str, canonical: str | None) -> bool:
    """Whether the route with this method and canonical path answers without credentials; None (no such route) does not."""
    return canonical is not None and ("GET" if method == "HEAD" else method, canonical) in PUBLIC_ROUTES


def canonical_path(request: web.Request) -> str | None:
    """The path of the request's route as it was registered, with its parameters' names; None when there is no such route."""
    resource = request.match_info.route.resource
    return resource.canonical.removeprefix(base_of(request.app)) if resource else None


def needs_caller(request: web.Request) -> bool:
    """Whether the request must be authenticated before its handler sees it."""
    path = canonical_path(request)
    return not is_public(request.method, path) and (request.method, path) not in SELF_CHECKING_ROUTES


@web.middleware
async def check_permission(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what the principal may not do."""
    if needs_caller(request) and request.match_info.http_exception is None:
        needed = permission_of(request.method, request.match_info.handler)
        if not request[PRINCIPAL].may(needed):
            raise Forbidden(f"this needs the permission '{needed}'", permission=str(needed))
    return await handler(request)
