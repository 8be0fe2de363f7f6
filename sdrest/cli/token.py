"""``sdrest token``: API keys, and the secret that login tokens are signed with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from sdrest.auth.accounts import ApiKey
from sdrest.auth.api_keys import DEFAULT_PERMISSIONS, parse_permissions
from sdrest.auth.keyring import KeyRing
from sdrest.auth.setup import Access
from sdrest.auth.shared_ring import SharedRing
from sdrest.cli.accounts import table, with_access, with_database
from sdrest.cli.limits import change_limits, limit_options
from sdrest.cli.options import settings_options
from sdrest.core.principal import Permission
from sdrest.settings import Settings
from sdrest.storage.sql.database import Database
from sdrest.storage.sql.jobs import SqlJobStore

_NEVER = "never"


@click.group()
def token() -> None:
    """API keys for programs."""


@token.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice([str(item) for item in Permission]),
              help="What it may do; may be given several times.  [default: view, generate]")  # fmt: skip
@click.option("--owner", default="", help="Account whose jobs it sees and whose role bounds it.")
@click.option(
    "--expires-days", type=click.FloatRange(min=0, min_open=True), help="Days until it ends; never when not given."
)
@settings_options("data_dir", "database", "auth")
def create(
    name: str, scopes: tuple[str, ...], owner: str, expires_days: float | None, config: Path | None, **flags: Any
) -> None:
    """Create the key NAME and print it. It is shown this once."""
    permissions = parse_permissions(scopes) if scopes else DEFAULT_PERMISSIONS
    expires_at = datetime.now(UTC) + timedelta(days=expires_days) if expires_days else None

    async def work(access: Access) -> str:
        keys = access.authentication.api_keys
        return (await keys.create(name, owner=owner, permissions=permissions, expires_at=expires_at))[1]

    click.echo(with_access(config, flags, work))


@token.command("list")
@settings_options("data_dir", "database")
def list_(config: Path | None, **flags: Any) -> None:
    """List the keys."""
    keys = with_access(config, flags, lambda access: access.authentication.api_keys.list())
    table([("ID", "NAME", "KEY", "OWNER", "SCOPES", "EXPIRES", "LAST USED"), *(_row(key) for key in keys)])


@token.command()
@click.argument("key")
@settings_options("data_dir", "database")
def revoke(key: str, config: Path | None, **flags: Any) -> None:
    """Revoke the key with this id or name; it stops working at once."""
    revoked = with_access(config, flags, lambda access: access.authentication.api_keys.revoke(key))
    click.echo(f"revoked {revoked.name}")


@token.command()
@click.argument("key")
@limit_options
@settings_options("data_dir", "database")
def limit(key: str, config: Path | None, **flags: Any) -> None:
    """Set how much the key with this id or name may have made in a day, and show what is used today.

    The limits of a key that has an owner hold within its owner's.
    """
    places = {name: flags[name] for name in ("data_dir", "database")}
    found = with_access(config, places, lambda access: access.authentication.api_keys.get(key))
    change_limits(found.subject, config, flags)


@token.command("rotate-secret")
@settings_options("data_dir", "database")
def rotate_secret(config: Path | None, **flags: Any) -> None:
    """Sign login tokens and picture addresses with a new secret from now on.

    What the two secrets before it signed stays good; repeat it three times to make everything signed so far worthless.
    """

    async def work(settings: Settings, database: Database) -> None:
        ring = KeyRing(settings.secrets_file)
        shared = SharedRing(ring, SqlJobStore(database))
        if settings.database.get_secret_value():
            await shared.agree()
        ring.rotate()
        if settings.database.get_secret_value():
            await shared.keep()

    with_database(config, flags, work)
    click.echo("new tokens are signed with a new secret")


def _row(key: ApiKey) -> tuple[str, ...]:
    return (
        key.id,
        key.name,
        f"{key.hint}…",
        key.owner or "-",
        ",".join(sorted(key.permissions)),
        _date(key.expires_at),
        _date(key.last_used_at),
    )


def _date(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M}" if when else _NEVER
