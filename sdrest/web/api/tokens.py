"""API keys, for admins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.auth.accounts import ApiKey
from sdrest.auth.api_keys import DEFAULT_PERMISSIONS
from sdrest.auth.audit import record
from sdrest.core.principal import Permission
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_body
from sdrest.web.http.keys import ACCESS, PRINCIPAL
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import timestamp


class NewKeyBody(Body):
    """A new API key."""

    name: str = Field(min_length=1, max_length=64, description="What it is for; unique.")
    scopes: list[Permission] = Field(
        default_factory=lambda: sorted(DEFAULT_PERMISSIONS), max_length=10, description="What it may do."
    )
    owner: str = Field("", max_length=64, description="Account whose jobs it sees and whose role bounds its scopes.")
    expires_days: float | None = Field(None, gt=0, le=36_500, description="Days until it ends; null: never.")


class KeyView(TypedDict):
    """An API key; the key itself is not kept."""

    id: str
    name: str
    owner: str
    scopes: list[str]
    hint: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class NewKeyView(KeyView):
    """A new API key with its text, which is shown this once."""

    key: str


class KeyList(TypedDict):
    """All API keys."""

    tokens: list[KeyView]


class KeyRevoked(TypedDict):
    """The key works no more."""

    success: bool
    id: str


@requires(Permission.ADMIN)
@operation("accounts", reply=KeyList)
async def list_keys(request: web.Request) -> web.Response:
    """All API keys, oldest first."""
    keys = await request.app[ACCESS].authentication.api_keys.list()
    return json_reply({"tokens": [_view(key) for key in keys]})


@requires(Permission.ADMIN)
@operation("accounts", body=NewKeyBody, reply=NewKeyView, status=201, errors=(409,))
async def create_key(request: web.Request) -> web.Response:
    """Create an API key. Its text is in this reply and nowhere else."""
    body = await read_body(NewKeyBody, request)
    assert isinstance(body, NewKeyBody)
    expires_at = datetime.now(UTC) + timedelta(days=body.expires_days) if body.expires_days is not None else None
    key, text = await request.app[ACCESS].authentication.api_keys.create(
        body.name, owner=body.owner, permissions=frozenset({Permission.VIEW, *body.scopes}), expires_at=expires_at
    )
    record("API key created", key=key.name, scopes=" ".join(sorted(key.permissions)), by=request[PRINCIPAL].name)
    return json_reply({**_view(key), "key": text}, status=201, headers={"Cache-Control": "no-store"})


@requires(Permission.ADMIN)
@operation("accounts", reply=KeyRevoked, errors=(404,))
async def revoke_key(request: web.Request) -> web.Response:
    """Revoke an API key by its id or name; it stops working at once."""
    key = await request.app[ACCESS].authentication.api_keys.revoke(request.match_info["key"])
    record("API key revoked", key=key.name, by=request[PRINCIPAL].name)
    return json_reply({"success": True, "id": key.id})


def _view(key: ApiKey) -> KeyView:
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scopes": sorted(key.permissions),
        "hint": key.hint,
        "created_at": timestamp(key.created_at) or "",
        "expires_at": timestamp(key.expires_at),
        "last_used_at": timestamp(key.last_used_at),
    }


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/tokens", list_keys),
    ("POST", "/tokens", create_key),
    ("DELETE", "/tokens/{key}", revoke_key),
)
