"""``sdrest serve``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
from aiohttp import web

from sdrest.app import build_app
from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_from, settings_options
from sdrest.core.errors import SdrestError
from sdrest.settings import Settings

_SHUTDOWN_SECONDS = 5.0


@click.command()
@settings_options()
def serve(config: Path | None, **flags: Any) -> None:
    """Start the server.

    Every option can also be set in the environment (SDREST_PORT=8080) or in the configuration file.
    """
    settings = settings_from(config, flags)
    configure_logging(settings.log_level, as_json=settings.log_json)
    try:
        asyncio.run(run_server(settings))
    except SdrestError as error:
        raise click.ClickException(error.message) from None
    except OSError as error:
        raise click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None


async def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; the running job then goes back to the queue.

    Raises:
        SdrestError: the settings or the data folder cannot be used.
        OSError: the address cannot be listened on.
    """
    async with serving(settings) as server:
        click.echo(f"sdrest is listening on {server.url}", err=True)
        await server.stopped()
        click.echo("stopping", err=True)


class Server:
    """A server that is listening."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def stopped(self) -> None:
        """Wait for SIGTERM or SIGINT."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        await stop.wait()


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    """A listening server for the length of the block; raises as :func:`run_server`."""
    runner = web.AppRunner(build_app(settings), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    try:
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port).start()
        host, port = runner.addresses[0][:2]
        yield Server(f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/")
    finally:
        await runner.cleanup()
