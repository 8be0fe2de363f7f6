"""What ``sdrest user`` and ``sdrest token`` share: the database of the data folder, beside a server that may be running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from sdrest.auth.setup import Access, build_access
from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_from
from sdrest.core.errors import SdrestError
from sdrest.settings import LogLevel, Settings
from sdrest.storage.opening import database_of
from sdrest.storage.sql.accounts import SqlAccountStore
from sdrest.storage.sql.database import Database

T = TypeVar("T")


def with_access(config: Path | None, flags: dict[str, Any], work: Callable[[Access], Awaitable[T]]) -> T:
    """Run ``work`` on the accounts of the data folder. A running server sees every change at once.

    Raises:
        click.ClickException: with the message of whatever went wrong.
    """
    return with_database(
        config, flags, lambda settings, database: work(build_access(settings, SqlAccountStore(database)))
    )


def with_database(config: Path | None, flags: dict[str, Any], work: Callable[[Settings, Database], Awaitable[T]]) -> T:
    """Run ``work`` on the open database of the settings; raises as :func:`with_access`."""
    settings = settings_from(config, flags)
    configure_logging(LogLevel.WARNING, as_json=False)

    async def run() -> T:
        database = database_of(settings)
        await database.open()
        try:
            return await work(settings, database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except SdrestError as error:
        raise click.ClickException(error.message) from None


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in aligned columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
