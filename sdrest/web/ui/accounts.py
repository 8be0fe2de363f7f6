"""Accounts and API keys, for administrators."""

from __future__ import annotations

from aiohttp import web

from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.principal import Permission, Role
from sdrest.settings import AuthMode
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import ACCESS, SETTINGS
from sdrest.web.ui.languages import _
from sdrest.web.ui.page_contexts import AccountsPage
from sdrest.web.ui.rendering import is_htmx, page, see

_HERE = "/ui/system/accounts"
_ROLES = (Role.USER, Role.VIEWER, Role.ADMIN)


@requires(Permission.ADMIN)
async def show(request: web.Request) -> web.Response:
    """All accounts and keys."""
    return await _page(request)


@requires(Permission.ADMIN)
async def change(request: web.Request) -> web.StreamResponse:
    """Carry out one of the page's forms; ``action`` names it."""
    parts = await read_parts(request)
    form = {name: str(value) for name, value in parts.items() if not isinstance(value, web.FileField)}
    access = request.app[ACCESS]
    try:
        match form.get("action"):
            case "add":
                await access.directory.add(form["username"].strip(), form["password"], _role(form["role"]))
            case "role":
                await access.directory.set_role(form["username"], _role(form["role"]))
            case "password":
                await access.directory.set_password(form["username"], form["password"])
            case "remove":
                await access.directory.remove(form["username"])
            case "revoke":
                await access.authentication.api_keys.revoke(form["key"])
            case "create":
                values = parts.getall("permission", [])
                chosen = frozenset(Permission(str(value)) for value in values)
                # A worker's key opens nothing else.
                permissions = chosen if chosen == {Permission.WORK} else chosen | {Permission.VIEW}
                _key, text = await access.authentication.api_keys.create(form["name"].strip(), permissions=permissions)
                return await _page(request, new_key=text)
            case _:
                raise InvalidInput("unknown action", field="action")
    except (KeyError, ValueError) as error:
        return await _page(request, problem=_("The form is not complete: %(error)s", error=error), status=400)
    except SdrestError as error:
        if is_htmx(request):
            raise
        return await _page(request, problem=error.message, status=status_of(error))
    return see(request, _HERE)


def _role(text: str) -> Role:
    return Role(text)


async def _page(request: web.Request, *, new_key: str = "", problem: str = "", status: int = 200) -> web.Response:
    access = request.app[ACCESS]
    context = AccountsPage(
        accounts=await access.directory.list(),
        keys=await access.authentication.api_keys.list(),
        roles=tuple(str(role) for role in _ROLES),
        permissions=tuple(str(item) for item in Permission if item is not Permission.VIEW),
        new_key=new_key,
        problem=problem,
        with_accounts=request.app[SETTINGS].auth in {AuthMode.JWT, AuthMode.OPTIONAL},
    )
    return page(request, "accounts.html", context, status=status)
