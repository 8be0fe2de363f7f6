"""The accounts that this server keeps, for admins."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.auth.accounts import Account
from sdrest.core.errors import InvalidInput
from sdrest.core.principal import Permission, Role
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_body
from sdrest.web.http.keys import ACCESS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import timestamp


class NewAccountBody(Body):
    """A new account."""

    username: str = Field(min_length=1, max_length=64, description="Small letters, digits and _ . @ -.")
    password: str = Field(min_length=1, max_length=4096, description="At least 8 characters.")
    role: Role = Field(Role.USER, description="viewer looks, user makes pictures, admin may do all.")


class ChangeAccountBody(Body):
    """What to change about an account."""

    password: str | None = Field(None, max_length=4096, description="New password; the account's sessions end.")
    role: Role | None = Field(None, description="New role.")


class AccountView(TypedDict):
    """An account."""

    username: str
    role: str
    created_at: str
    password_changed_at: str


class AccountList(TypedDict):
    """All accounts."""

    users: list[AccountView]


class AccountDone(TypedDict):
    """A change was made."""

    success: bool
    username: str


@requires(Permission.ADMIN)
@operation("accounts", reply=AccountList)
async def list_accounts(request: web.Request) -> web.Response:
    """All accounts by name."""
    accounts = await request.app[ACCESS].directory.list()
    return json_reply({"users": [_view(account) for account in accounts]})


@requires(Permission.ADMIN)
@operation("accounts", body=NewAccountBody, reply=AccountView, status=201, errors=(409,))
async def add_account(request: web.Request) -> web.Response:
    """Add an account."""
    body = await read_body(NewAccountBody, request)
    assert isinstance(body, NewAccountBody)
    account = await request.app[ACCESS].directory.add(body.username, body.password, body.role)
    return json_reply(_view(account), status=201)


@requires(Permission.ADMIN)
@operation("accounts", body=ChangeAccountBody, reply=AccountDone, errors=(404, 409))
async def change_account(request: web.Request) -> web.Response:
    """Change an account's password or role."""
    name, directory = request.match_info["username"], request.app[ACCESS].directory
    body = await read_body(ChangeAccountBody, request)
    assert isinstance(body, ChangeAccountBody)
    if body.role is None and body.password is None:
        raise InvalidInput("nothing to change: give a password or a role")
    if body.role is not None:
        await directory.set_role(name, body.role)
    if body.password is not None:
        await directory.set_password(name, body.password)
    return json_reply({"success": True, "username": name})


@requires(Permission.ADMIN)
@operation("accounts", reply=AccountDone, errors=(404, 409))
async def remove_account(request: web.Request) -> web.Response:
    """Remove an account with its API keys; its jobs and pictures stay."""
    name = request.match_info["username"]
    await request.app[ACCESS].directory.remove(name)
    return json_reply({"success": True, "username": name})


def _view(account: Account) -> AccountView:
    return {
        "username": account.name,
        "role": str(account.role),
        "created_at": timestamp(account.created_at) or "",
        "password_changed_at": timestamp(account.password_changed_at) or "",
    }


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/users", list_accounts),
    ("POST", "/users", add_account),
    ("PATCH", "/users/{username}", change_account),
    ("DELETE", "/users/{username}", remove_account),
)
