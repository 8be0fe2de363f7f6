"""``sdrest serve``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
from aiohttp import web

from sdrest import __version__
from sdrest.app import build_app
from sdrest.cli.listening import Listening, listen, listen_locally, run_again
from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_from, settings_options
from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.settings import Settings
from sdrest.web.keys import LIFECYCLE
from sdrest.web.lifecycle import Lifecycle

_SHUTDOWN_SECONDS = 5.0


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


class Server:
    """A server that is listening."""

    def __init__(self, url: str, lifecycle: Lifecycle) -> None:
        self.url = url
        self.lifecycle = lifecycle

    async def stopped(self) -> None:
        """Wait for SIGTERM, SIGINT or a restart."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, self.lifecycle.stop)
        await self.lifecycle.stopped()


@asynccontextmanager
async def serving(settings: Settings, listening: Listening | None = None) -> AsyncIterator[Server]:
    """A listening server for the length of the block; raises as :func:`run_server`."""
    app = build_app(settings)
    tls = tls_context(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    owned = None if listening else listen(settings.host, settings.port)
    used = listening or owned
    assert used is not None
    cleanup = contextlib.ExitStack()
    try:
        await runner.setup()
        await web.SockSite(runner, used.duplicate(), ssl_context=tls).start()
        if settings.socket is not None and listening is not None:
            await web.SockSite(runner, listen_locally(settings.socket)).start()
            cleanup.callback(settings.socket.unlink, missing_ok=True)
        yield Server(used.url("https" if tls else "http"), app[LIFECYCLE])
    finally:
        await runner.cleanup()
        cleanup.close()
        if owned is not None:
            owned.close()


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS side of the listener; None when neither certificate nor key is given.

    Raises:
        InvalidInput: only one of them is given, or they cannot be used.
    """
    if settings.cert is None and settings.key is None:
        return None
    if settings.cert is None or settings.key is None:
        raise InvalidInput("a certificate and a key go together", field="key" if settings.key is None else "cert")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"{settings.cert} and {settings.key} cannot be used: {error}", field="cert") from None
    return context
