"""``sdrest serve``."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdrest import __version__
from sdrest.cli.listening import Listening, listen, run_again
from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_from, settings_options
from sdrest.core.errors import BackendMissing, EngineUnavailable, SdrestError
from sdrest.engine.engines import Engines, engines_from
from sdrest.planning.holding import load_last_models
from sdrest.settings import Backend, Settings

if TYPE_CHECKING:
    from sdrest.cli.hosting import Server


@click.command()
@settings_options()
@click.option("--repository", hidden=True, help="Accepted for older command lines; has no meaning here.")
@click.option("--enable-unix-auth", is_flag=True, help="Deprecated: use --auth unix.")
@click.option("--enable-pam-auth", is_flag=True, help="Deprecated: use --auth pam.")
@click.version_option(__version__, "-v", "--version")
def serve(
    config: Path | None, repository: str | None, enable_unix_auth: bool, enable_pam_auth: bool, **flags: Any
) -> None:
    """Start the server.

    Every option can also be set in the environment (SDREST_PORT=8080) or in the configuration file.
    """
    _use_deprecated_flags(flags, unix=enable_unix_auth, pam=enable_pam_auth)
    settings = settings_from(config, flags)
    configure_logging(settings.log_level, as_json=settings.log_json)
    if repository:
        click.echo("--repository has no meaning here and is ignored", err=True)
    if settings.concurrency > 1:
        click.echo(f"--concurrency {settings.concurrency}: pictures are made one at a time all the same", err=True)
    try:
        listening = asyncio.run(run_server(settings))
    except SdrestError as error:
        raise click.ClickException(error.message) from None
    except OSError as error:
        where = error.filename or f"{settings.host}:{settings.port}"
        raise click.ClickException(f"cannot listen on {where}: {error.strerror}") from None
    if listening is not None:
        run_again(listening)


def _use_deprecated_flags(flags: dict[str, Any], *, unix: bool, pam: bool) -> None:
    """Set ``auth`` from the flags of the older server, with a warning.

    Raises:
        click.UsageError: they contradict each other or ``--auth``.
    """
    for name, given in (("unix", unix), ("pam", pam)):
        if not given:
            continue
        click.echo(f"--enable-{name}-auth is deprecated; use --auth {name}", err=True)
        if flags.get("auth") not in {None, name}:
            raise click.UsageError(f"--enable-{name}-auth contradicts --auth {flags['auth']}")
        flags["auth"] = name


async def run_server(settings: Settings) -> Listening | None:
    """Serve until SIGTERM or SIGINT; the running job then goes back to the queue.

    Returns the listening socket when the server is to start again on it, else None.

    Raises:
        BackendMissing: the native library was built without the backend of the settings.
        SdrestError: the settings or the data folder cannot be used.
        OSError: the address cannot be listened on.
    """
    listening = listen(settings.host, settings.port)
    async with serving(settings, listening) as server:
        server.lifecycle.can_restart = True
        click.echo(f"sdrest is listening on {server.url}", err=True)
        await server.stopped()
        click.echo("restarting" if server.lifecycle.restarting else "stopping", err=True)
    if server.lifecycle.restarting:
        return listening
    listening.close()
    return None


@asynccontextmanager
async def serving(
    settings: Settings, listening: Listening | None = None, *, needs_engine: bool = False
) -> AsyncIterator[Server]:
    """A listening server for the length of the block.

    Raises:
        EngineUnavailable: ``needs_engine``, and the engine cannot start. Otherwise jobs wait until it can.
        SdrestError, OSError: as :func:`run_server`.
    """
    engines = engines_from(settings)
    await engines.start()
    try:
        load_last_models(engines, settings)
        # The engine's process loads the native library, and a model, while this one loads the rest of itself.
        hosting = await asyncio.to_thread(_hosting)
        await _check_engines(engines, settings, needs_engine=needs_engine)
        async with hosting(settings, engines, listening) as server:
            yield server
    finally:
        await engines.stop()


async def _check_engines(engines: Engines, settings: Settings, *, needs_engine: bool) -> None:
    """Raise what no waiting will mend: a backend that the library was not built for, or a device that is not there."""
    if not needs_engine and settings.backend is Backend.AUTO and not settings.devices:
        return
    try:
        await engines.info()
    except EngineUnavailable as error:
        if needs_engine or isinstance(error, BackendMissing):
            raise


def _hosting() -> Callable[[Settings, Engines, Listening | None], AbstractAsyncContextManager[Server]]:
    # A hundred thousand objects that all stay: to look through them for garbage, again and again, takes a tenth of the time, and
    # goes on with every full collection afterwards.
    gc.disable()
    try:
        from sdrest.cli.hosting import hosting  # noqa: PLC0415 - loading it takes most of a second
    finally:
        gc.freeze()
        gc.enable()
    return hosting
