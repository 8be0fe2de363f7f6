"""The caller's own account: a new password, and API keys for programs that act for the caller.

Both ask for the password: neither an open browser nor a key for less may get more than that.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from sdrest.auth.accounts import ApiKey
from sdrest.core import bounds
from sdrest.core.errors import Forbidden, InvalidInput, NotFound, SdrestError
from sdrest.core.principal import Permission, Role
from sdrest.settings import AuthMode
from sdrest.web.http.access import requires
from sdrest.web.http.auth import client_address, log_in_browser
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import ACCESS, PRINCIPAL, SETTINGS
from sdrest.web.requests.use_views import free_at, used_by
from sdrest.web.ui.languages import _
from sdrest.web.ui.page_contexts import OwnAccountPage
from sdrest.web.ui.rendering import page

HERE = "/ui/account"


def has_own_account(request: web.Request) -> bool:
    """Whether the caller signed in to an account that this server keeps."""
    keeps = request.app[SETTINGS].auth in {AuthMode.JWT, AuthMode.OPTIONAL}
    return keeps and request[PRINCIPAL].role is not Role.GUEST and bool(request[PRINCIPAL].name)


@requires(Permission.VIEW)
async def show(request: web.Request) -> web.Response:
    """The caller's account and keys."""
    return await _page(request)


@requires(Permission.VIEW)
async def change(request: web.Request) -> web.StreamResponse:
    """Carry out one of the page's forms; ``action`` names it."""
    _demand_account(request)
    form = {name: str(value) for name, value in (await read_parts(request, most=bounds.ACCOUNT_BODY_BYTES)).items()}
    access, name = request.app[ACCESS], request[PRINCIPAL].name
    try:
        await access.authentication.log_in(name, form.get("current", ""), client_address(request))
        match form.get("action"):
            case "password":
                await access.directory.set_password(name, form.get("password", ""))
                # It has ended all sessions of the account, this one too.
                response = web.Response(status=303, headers={"Location": HERE})
                await log_in_browser(request, response, name, form.get("password", ""))
                return response
            case "create":
                _key, text = await access.authentication.api_keys.create(
                    form.get("name", "").strip(), owner=name, permissions=request[PRINCIPAL].permissions
                )
                return await _page(request, new_key=text)
            case "revoke":
                mine = {key.id for key in await _keys(request)}
                if form.get("key") not in mine:
                    raise NotFound(_("you have no such key"))
                await access.authentication.api_keys.revoke(form["key"])
            case _:
                raise InvalidInput("unknown action", field="action")
    except SdrestError as error:
        return await _page(request, problem=error.message, status=status_of(error))
    return web.Response(status=303, headers={"Location": HERE})


def _demand_account(request: web.Request) -> None:
    if not has_own_account(request):
        raise Forbidden(_("sign in with a name and a password first"))


async def _keys(request: web.Request) -> Sequence[ApiKey]:
    keys = await request.app[ACCESS].authentication.api_keys.list()
    return [key for key in keys if key.owner == request[PRINCIPAL].name]


async def _page(request: web.Request, *, new_key: str = "", problem: str = "", status: int = 200) -> web.Response:
    _demand_account(request)
    principal = request[PRINCIPAL]
    role = str(principal.role)
    context = OwnAccountPage(
        name=principal.name,
        role=role,
        keys=await _keys(request),
        use=(await used_by(request, principal)).get(principal.name),
        free_at=free_at(request),
        new_key=new_key,
        problem=problem,
    )
    return page(request, "own_account.html", context, status=status)
