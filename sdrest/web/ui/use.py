"""The page of what users and keys have used today, and how much they may, for administrators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web

from sdrest.auth.audit import record
from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.principal import Permission
from sdrest.core.use import MEGA, Limits
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import PRINCIPAL, QUOTAS
from sdrest.web.requests.use_views import (
    LimitsView,
    SubjectView,
    free_at,
    limits_view,
    set_limits,
    used_by_all,
)
from sdrest.web.ui.rendering import page, see

HERE: Final = "/ui/system/use"
#: What a field may hold: more than anybody makes in a day, and few enough for any database.
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class UsePage:
    """Everybody's use of today, and limits."""

    rows: Sequence[SubjectView]
    usual: LimitsView
    free_at: datetime
    problem: str


@requires(Permission.ADMIN)
async def show(request: web.Request) -> web.Response:
    """Everybody's use and limits."""
    return await _page(request)


@requires(Permission.ADMIN)
async def change(request: web.Request) -> web.StreamResponse:
    """Set the limits of one user or key; an empty field is what everybody may."""
    form = {name: str(value).strip() for name, value in (await read_parts(request)).items()}
    try:
        steps = _number(form, "megapixel_steps_per_day")
        limits = Limits(
            images=_number(form, "images_per_day"),
            pixel_steps=None if steps is None else steps * MEGA,
            bytes=_number(form, "bytes_per_day"),
        )
        subject = form.get("subject", "")
        await set_limits(request, subject, limits)
        record("limits changed", subject=subject, by=request[PRINCIPAL].name, **limits_view(limits))
    except SdrestError as error:
        return await _page(request, problem=error.message, status=status_of(error))
    return see(request, HERE)


def _number(form: dict[str, str], name: str) -> int | None:
    text = form.get(name, "")
    if text and not (text.isdecimal() and len(text) <= _DIGITS):
        raise InvalidInput("must be a whole number, 0 for any, or empty for what everybody may", field=name)
    return int(text) if text else None


async def _page(request: web.Request, *, problem: str = "", status: int = 200) -> web.Response:
    context = UsePage(
        rows=await used_by_all(request),
        usual=limits_view(request.app[QUOTAS].usual),
        free_at=free_at(request),
        problem=problem,
    )
    return page(request, "use.html", context, status=status)
