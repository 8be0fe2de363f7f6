"""What was used of the quotas, and how much may be, as the API and the pages show it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from aiohttp import web
from typing_extensions import TypedDict

from sdrest.auth.accounts import ApiKey
from sdrest.auth.people import NAME
from sdrest.core.errors import NotFound, did_you_mean
from sdrest.core.principal import Permission, Principal, Role
from sdrest.core.use import MEGA, UNLIMITED, Limits, Use
from sdrest.jobs.quotas import amount, day_after, today
from sdrest.settings import AuthMode
from sdrest.web.http.keys import ACCESS, JOBS, QUOTA_STORE, QUOTAS, SETTINGS

_OPEN: Final = Limits()


class AmountView(TypedDict):
    """What was used of something today, and how much may be; null: any amount."""

    used: float
    limit: int | None


class AmountsView(TypedDict):
    """Pictures (frames of videos), steps × width × height ÷ 1,000,000, and bytes of finished files."""

    images_per_day: AmountView
    megapixel_steps_per_day: AmountView
    bytes_per_day: AmountView


class LimitsView(TypedDict):
    """How much may be used in a day; 0: any amount, null: what everybody may."""

    images_per_day: int | None
    megapixel_steps_per_day: int | None
    bytes_per_day: int | None


class SubjectView(TypedDict):
    """A user, a guest (``guest:…``), or an API key (``key:NAME``): what it has used today, and the limits that were set for it.

    ``owner`` is whose key it is; empty where it is a key of nobody's, or no key.
    """

    subject: str
    owner: str
    amounts: AmountsView
    own_limits: LimitsView


def limits_view(limits: Limits) -> LimitsView:
    """Limits as they are set."""
    return {
        "images_per_day": limits.images,
        "megapixel_steps_per_day": None if limits.pixel_steps is None else limits.pixel_steps // MEGA,
        "bytes_per_day": limits.bytes,
    }


def amounts_view(use: Use, limits: Limits) -> AmountsView:
    """What was used, and how much may be; nothing is left open in the limits."""
    shown = limits_view(limits)
    return {
        "images_per_day": {"used": use.images, "limit": shown["images_per_day"] or None},
        "megapixel_steps_per_day": {
            "used": amount(use.pixel_steps, "pixel_steps"),
            "limit": shown["megapixel_steps_per_day"] or None,
        },
        "bytes_per_day": {"used": use.bytes, "limit": shown["bytes_per_day"] or None},
    }


def free_at(request: web.Request) -> datetime:
    """When all that is used is free again."""
    return day_after(request.app[JOBS].clock())


async def used_by(request: web.Request, principal: Principal) -> Mapping[str, AmountsView]:
    """What a principal has used today, then what the API key that speaks for it has, by name; empty where nothing is counted."""
    budgets = await request.app[QUOTAS].of(principal)
    names = [budget.subject for budget in budgets]
    found = await request.app[QUOTA_STORE].used(today(request.app[JOBS].clock()), names) if names else ()
    used = {item.subject: item.use for item in found}
    return {budget.subject: amounts_view(used.get(budget.subject, Use()), budget.limits) for budget in budgets}


async def used_by_all(request: web.Request) -> list[SubjectView]:
    """Everybody who has used something today, has an account or a key here, or limits of their own; by name."""
    store, usual = request.app[QUOTA_STORE], request.app[QUOTAS].usual
    used = {item.subject: item for item in await store.used(today(request.app[JOBS].clock()))}
    own = await store.limits()
    access = request.app[ACCESS]
    keys = {key.subject: key for key in await access.authentication.api_keys.list()}
    roles = {account.name: account.role for account in await access.directory.list()}
    rows: list[SubjectView] = []
    for subject in sorted({*used, *own, *keys, *roles}):
        owner = keys[subject].owner if subject in keys else used[subject].owner if subject in used else ""
        is_free = bool(owner) or roles.get(subject) is Role.ADMIN or _manages(keys.get(subject))
        use = used[subject].use if subject in used else Use()
        limits = own.get(subject, _OPEN)
        rows.append(
            {
                "subject": subject,
                "owner": owner,
                "amounts": amounts_view(use, limits.over(UNLIMITED if is_free else usual)),
                "own_limits": limits_view(limits),
            }
        )
    return rows


def _manages(key: ApiKey | None) -> bool:
    return key is not None and bool(key.permissions & {Permission.ADMIN, Permission.MANAGE_QUEUE})


async def set_limits(request: web.Request, subject: str, limits: Limits) -> None:
    """Set how much somebody may use in a day.

    Raises:
        NotFound: nobody is called so. Where accounts are those of the system, or of another server, any name may be one.
    """
    known = [row["subject"] for row in await used_by_all(request)]
    is_kept_elsewhere = request.app[SETTINGS].auth in {AuthMode.UNIX, AuthMode.PAM, AuthMode.OIDC}
    if subject not in known and not (is_kept_elsewhere and NAME.fullmatch(subject)):
        raise NotFound(f"there is no user and no key {subject!r}{did_you_mean(subject, known)}; a key is key:NAME")
    await request.app[QUOTA_STORE].set_limits(subject, limits)
