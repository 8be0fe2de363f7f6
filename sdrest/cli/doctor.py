"""``sdrest doctor``: what this installation has, and what is missing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from sdrest import __version__
from sdrest.auth.setup import what_is_missing, what_to_know
from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_from, settings_options
from sdrest.core.errors import SdrestError
from sdrest.engine.engines import Engines, engines_from
from sdrest.engine.messages import Ready
from sdrest.planning.holding import Holding
from sdrest.registry.builtin import builtin_models
from sdrest.registry.opening import folders_of
from sdrest.registry.scan import skipped
from sdrest.settings import MODEL_PLACES, LogLevel, Settings


@click.command()
@settings_options(*MODEL_PLACES, "data_dir", "output", "backend", "auth", "pam_service", "socket")
def doctor(config: Path | None, **flags: Any) -> None:
    """Check the installation: native library, devices, model folders, write access, logins.

    Exits with 1 when the configured backend or anything else that the server needs is not there.
    """
    settings = settings_from(config, flags)
    configure_logging(LogLevel.ERROR, as_json=False)
    problems = [*_engine_problems(settings), *_folder_problems(settings), *_login_problems(settings)]
    for problem in problems:
        click.secho(f"problem: {problem}", fg="red")
    if problems:
        raise click.exceptions.Exit(1)
    click.secho("all is well", fg="green")


def _login_problems(settings: Settings) -> list[str]:
    click.echo(f"auth                  {settings.auth}")
    for caution in what_to_know(settings):
        click.secho(f"note: {caution}", fg="yellow")
    return what_is_missing(settings)


def _engine_problems(settings: Settings) -> list[str]:
    click.echo(f"sdrest                {__version__}")
    try:
        engines = engines_from(settings)
        info = asyncio.run(_ask(engines))
    except SdrestError as error:
        return [error.message]
    click.echo(f"stable-diffusion.cpp  {info.version} (commit {info.commit})")
    click.echo(f"built for             {info.system_info}")
    click.echo(
        f"soft cancel           {'yes' if info.soft_cancel else 'no: jobs are cancelled at step ends or by restart'}"
    )
    for device in info.devices:
        memory = f"{device.memory_free / 2**30:.1f} of {device.memory_total / 2**30:.1f} GiB free"
        click.echo(f"device                {device.name}: {device.description} ({device.backend}, {memory})")
    if len(engines) > 1 or settings.devices:
        for engine in engines:
            click.echo(f"{engine.name:<21} {engine.place.device or 'the device that the library chooses'}")
    held = ", ".join(Holding.of(settings, threads=0).options())
    click.echo(f"models are held       {held or 'as the library does by itself'}")
    return []


async def _ask(engines: Engines) -> Ready:
    await engines.start()
    try:
        return await engines.info()
    finally:
        await engines.stop()


def _folder_problems(settings: Settings) -> list[str]:
    click.echo(f"embedded model        {builtin_models()[0].path}")
    try:
        folders = folders_of(settings)
    except SdrestError as error:
        return [error.message]
    for folder in folders.all():
        state = "" if folder.path.is_dir() else "  (not there)"
        click.echo(f"{folder.kind.key:<21} {folder.path}{state}")
    for lender in folders.lenders:
        click.echo(f"{lender.label:<21} {lender.root}{'' if lender.root.is_dir() else '  (not there)'}")
    for line in skipped(folders, follow_links=settings.follows_links):
        click.secho(f"note: skipped {line}", fg="yellow")
    problems = []
    for name, path in (("data_dir", settings.data_dir), ("output", settings.output_dir)):
        writable = _writable(path)
        click.echo(f"{name:<21} {path.absolute()}{'' if writable else '  (not writable)'}")
        if not writable:
            problems.append(f"{name} {path} cannot be written")
    return problems


def _writable(path: Path) -> bool:
    """Whether ``path`` can be written, or made."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
