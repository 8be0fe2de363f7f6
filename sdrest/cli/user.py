"""``sdrest user``: the accounts that the server keeps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sdrest.auth.accounts import ACCOUNT_ROLES
from sdrest.auth.setup import Access
from sdrest.cli.accounts import table, with_access
from sdrest.cli.limits import change_limits, limit_options
from sdrest.cli.options import settings_options
from sdrest.core.principal import Role

_ROLE = click.Choice([str(role) for role in ACCOUNT_ROLES])
_STDIN = click.option("--password-stdin", is_flag=True, help="Read the password from standard input, one line.")


@click.group()
def user() -> None:
    """Accounts for the modes jwt and optional."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=_ROLE, default="user", show_default=True, help="What the account may do.")
@_STDIN
@settings_options("data_dir", "database")
def add(name: str, role: str, password_stdin: bool, config: Path | None, **flags: Any) -> None:
    """Add the account NAME."""
    password = _password(password_stdin)
    with_access(config, flags, lambda access: access.directory.add(name, password, Role(role)))
    click.echo(f"added {name} ({role})")


@user.command("list")
@settings_options("data_dir", "database")
def list_(config: Path | None, **flags: Any) -> None:
    """List the accounts."""
    accounts = with_access(config, flags, lambda access: access.directory.list())
    rows = [(item.name, str(item.role), f"{item.created_at:%Y-%m-%d}") for item in accounts]
    table([("NAME", "ROLE", "CREATED"), *rows])


@user.command("passwd")
@click.argument("name")
@_STDIN
@settings_options("data_dir", "database")
def passwd(name: str, password_stdin: bool, config: Path | None, **flags: Any) -> None:
    """Change the password of NAME; its sessions end."""
    password = _password(password_stdin)
    with_access(config, flags, lambda access: access.directory.set_password(name, password))
    click.echo(f"changed the password of {name}")


@user.command("role")
@click.argument("name")
@click.argument("role", type=_ROLE)
@settings_options("data_dir", "database")
def role_(name: str, role: str, config: Path | None, **flags: Any) -> None:
    """Change the role of NAME."""
    with_access(config, flags, lambda access: access.directory.set_role(name, Role(role)))
    click.echo(f"{name} is {role} now")


@user.command()
@click.argument("name")
@limit_options
@settings_options("data_dir", "database")
def limit(name: str, config: Path | None, **flags: Any) -> None:
    """Set how much NAME may have made in a day, and show what is used today.

    NAME may be an account of the system as well.
    """
    places = {option: flags[option] for option in ("data_dir", "database")}
    accounts = with_access(config, places, lambda access: access.directory.list())
    if name not in {account.name for account in accounts}:
        click.echo(
            f"note: this server keeps no account {name!r}; the limits hold for whoever signs in by that name", err=True
        )
    change_limits(name, config, flags)


@user.command("remove")
@click.argument("name")
@settings_options("data_dir", "database")
def remove(name: str, config: Path | None, **flags: Any) -> None:
    """Remove NAME with its API keys; its sessions end, its pictures stay."""

    async def work(access: Access) -> None:
        await access.directory.remove(name)

    with_access(config, flags, work)
    click.echo(f"removed {name}")


def _password(from_stdin: bool) -> str:
    """The password, never from the command line, where other users could read it."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
