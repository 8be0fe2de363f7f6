"""How much users and API keys may have made in a day, and what they have."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.auth.audit import record
from sdrest.core.principal import Permission
from sdrest.core.use import MEGA, Limits
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_body
from sdrest.web.http.keys import PRINCIPAL, QUOTAS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import timestamp
from sdrest.web.requests.use_views import (
    AmountsView,
    LimitsView,
    SubjectView,
    free_at,
    limits_view,
    set_limits,
    used_by,
    used_by_all,
)

#: More than anybody makes in a day, and few enough for any database.
_MOST: Final = 10**12


class LimitsBody(Body):
    """How much may be used in a day. 0: any amount; null, or left out: what everybody may."""

    images_per_day: int | None = Field(None, ge=0, le=_MOST, description="Pictures, or frames of videos.")
    megapixel_steps_per_day: int | None = Field(
        None, ge=0, le=_MOST, description="Steps × width × height ÷ 1,000,000 of all pictures."
    )
    bytes_per_day: int | None = Field(None, ge=0, le=10**15, description="Bytes of finished files.")

    def limits(self) -> Limits:
        """The limits that are asked for."""
        steps = self.megapixel_steps_per_day
        pixel_steps = None if steps is None else steps * MEGA
        return Limits(images=self.images_per_day, pixel_steps=pixel_steps, bytes=self.bytes_per_day)


class OwnUse(TypedDict):
    """What the caller has used today, and how much may be; null where nothing is counted.

    ``key`` is the part of the API key that the request came with, where that speaks for an account. All that is used is free again
    ``free_at``.
    """

    free_at: str
    user: AmountsView | None
    key: AmountsView | None


class QuotaList(TypedDict):
    """Everybody's use of today and limits; ``usual`` is what everybody may who has no limits of their own."""

    free_at: str
    usual: LimitsView
    quotas: list[SubjectView]


class LimitsSet(TypedDict):
    """The limits as they are now."""

    subject: str
    own_limits: LimitsView


@operation("accounts", reply=OwnUse)
async def own_use(request: web.Request) -> web.Response:
    """What the caller has used today of what may be used in a day.

    Nothing is counted on a server without authentication.
    """
    found = [*(await used_by(request, request[PRINCIPAL])).values(), None, None]
    reply: OwnUse = {"free_at": timestamp(free_at(request)) or "", "user": found[0], "key": found[1]}
    return json_reply(reply)


@requires(Permission.ADMIN)
@operation("accounts", reply=QuotaList)
async def list_quotas(request: web.Request) -> web.Response:
    """What users, guests and API keys have used today, and how much they may.

    The use of a key that has an owner is its owner's as well.
    """
    reply: QuotaList = {
        "free_at": timestamp(free_at(request)) or "",
        "usual": limits_view(request.app[QUOTAS].usual),
        "quotas": await used_by_all(request),
    }
    return json_reply(reply)


@requires(Permission.ADMIN)
@operation("accounts", body=LimitsBody, reply=LimitsSet, errors=(404,))
async def change_limits(request: web.Request) -> web.Response:
    """Set how much a user, or an API key (``key:NAME``), may use in a day; they count from the next request on.

    The limits of a key that has an owner hold within its owner's. Whoever manages the queue may use any amount, but for limits that
    are set for them here.
    """
    subject, body = request.match_info["subject"], await read_body(LimitsBody, request)
    assert isinstance(body, LimitsBody)
    limits = body.limits()
    await set_limits(request, subject, limits)
    record("limits changed", subject=subject, by=request[PRINCIPAL].name, **limits_view(limits))
    reply: LimitsSet = {"subject": subject, "own_limits": limits_view(limits)}
    return json_reply(reply)


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/use", own_use),
    ("GET", "/quotas", list_quotas),
    ("PUT", "/quotas/{subject}", change_limits),
)
