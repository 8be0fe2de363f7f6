"""``sdrest database``: the schema of a PostgreSQL database, and moving from one database to another."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from sdrest.core.errors import SdrestError
from sdrest.storage.opening import SCHEMES, database_at
from sdrest.storage.sql.copying import copy as copy_all


@click.group()
def database() -> None:
    """The database: its schema, and moving to another one."""


@database.command()
@click.argument("place")
def migrate(place: str) -> None:
    """Bring the schema at PLACE (postgresql://… or a file) up to date; a server does so at its start as well."""

    async def work() -> None:
        target = database_at(place)
        await target.open()
        await target.close()

    _run(work())
    click.echo("the schema is up to date")


@database.command()
@click.argument("source")
@click.argument("target")
def copy(source: str, target: str) -> None:
    """Copy everything from SOURCE into TARGET, an empty database; each is postgresql://… or a file (DATA_DIR/sdrest.sqlite3).

    No server may be running on either. Pictures and model files stay where they are.
    """
    if not source.startswith(SCHEMES) and not Path(source).is_file():
        raise click.ClickException(f"there is no file {source}")
    for table, number in _run(_copy(source, target)).items():
        click.echo(f"{table:<12} {number}")


async def _copy(source: str, target: str) -> dict[str, int]:
    first, second = database_at(source), database_at(target)
    try:
        await first.open(alone=True)
        await second.open(alone=True)
        return await copy_all(first, second)
    finally:
        await first.close()
        await second.close()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except SdrestError as error:
        raise click.ClickException(error.message) from None
