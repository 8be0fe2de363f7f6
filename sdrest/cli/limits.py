"""``sdrest user limit`` and ``sdrest token limit``: how much a user or an API key may have made in a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from sdrest.cli.accounts import table, with_database
from sdrest.core.use import KINDS, MEGA, Limits, Use
from sdrest.jobs.quotas import NAMES, amount, today
from sdrest.settings import Settings
from sdrest.storage.sql.database import Database
from sdrest.storage.sql.quotas import SqlQuotaStore

_USUAL: Final = "default"
_UNITS: Final = {"images": 1, "pixel_steps": MEGA, "bytes": 1}


class _Limit(click.ParamType[str]):
    """A whole number, or ``default``."""

    name = "number"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, when it is one of both."""
        if value != _USUAL and not (value.isdecimal() and len(value) <= 12):
            self.fail(f"must be a whole number, 0 for any amount, or {_USUAL!r} for what everybody may", param, ctx)
        return value


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with an option for each kind of limit."""
    for name, text in (
        ("bytes", "Bytes of finished files a day."),
        ("megapixel_steps", "Steps × width × height ÷ 1,000,000 a day."),
        ("images", "Pictures, or frames of videos, a day."),
    ):
        flag = f"--{name.replace('_', '-')}-per-day"
        command = click.option(flag, name, type=_Limit(), help=f"{text} 0: any amount; {_USUAL}: what everybody may.")(
            command
        )
    return command


def change_limits(subject: str, config: Path | None, flags: dict[str, Any]) -> None:
    """Set what the flags say, and print how much of what may be used is used today."""
    given = {kind: flags.pop(name) for kind, name in NAMES.items()}
    changes = {
        kind: None if text == _USUAL else int(text) * _UNITS[kind] for kind, text in given.items() if text is not None
    }

    async def work(_settings: Settings, database: Database) -> tuple[Limits, Use]:
        store = SqlQuotaStore(database)
        limits = replace((await store.limits([subject])).get(subject, Limits()), **changes)
        if changes:
            await store.set_limits(subject, limits)
        used = await store.used(today(datetime.now(UTC)), [subject])
        return limits, used[0].use if used else Use()

    limits, use = with_database(config, flags, work)
    rows = [
        (f"{NAMES[kind]}_per_day", f"{amount(getattr(use, kind), kind):g}", _told(getattr(limits, kind), _UNITS[kind]))
        for kind in KINDS
    ]
    table([("LIMIT", "USED TODAY", "MAY"), *rows])


def _told(limit: int | None, unit: int) -> str:
    return _USUAL if limit is None else str(limit // unit) if limit else "any"
