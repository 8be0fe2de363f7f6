"""``sdrest worker``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_from, settings_options
from sdrest.core.errors import SdrestError
from sdrest.settings import MODEL_FOLDERS

if TYPE_CHECKING:
    from sdrest.work.agent import Agent


@click.command()
@click.option(
    "--connect",
    required=True,
    multiple=True,
    help="Address of the server: https://HOST, or http:// on this machine. Again for each of several servers on one database.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File that holds an API key with the permission work (sdrest token create NAME --scope work).",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Certificates (PEM) to trust, for a server with a certificate of its own making.",
)
@click.option("--name", default="", help="What the worker is called; the machine's name when not given.")
@click.option(
    "--idle-exit",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Seconds without a job after which it ends; 0: never.",
)
@click.option("--fetch/--no-fetch", default=True, help="Whether it gets models that it lacks from the server.")
@settings_options(
    "models_dir",
    *MODEL_FOLDERS,
    "data_dir",
    "backend",
    "devices",
    "engines",
    "threads",
    "memory_budget_bytes",
    "load_last_model",
    "idle_unload_seconds",
    "cancel_grace_seconds",
    "engine_hang_seconds",
    "ai_mark",
    "log_level",
    "log_json",
)
def worker(
    connect: tuple[str, ...],
    token_file: Path | None,
    ca_file: Path | None,
    name: str,
    idle_exit: float,
    fetch: bool,
    config: Path | None,
    **flags: Any,
) -> None:
    """Make pictures for a server on another machine.

    It opens no port: it connects to the server, gets the models that it lacks from there, and brings the pictures back. SIGTERM
    lets it finish what it is making.
    """
    settings = settings_from(config, flags)
    configure_logging(settings.log_level, as_json=settings.log_json)
    try:
        from sdrest.cli.working import checked_front, working  # noqa: PLC0415 - loading it takes most of a second

        front = checked_front(connect, token_file, ca_file)

        async def run() -> None:
            known_as = name or socket.gethostname()
            async with working(settings, front, known_as, fetches=fetch, idle_exit_seconds=idle_exit) as agent:
                click.echo(f"sdrest works for {', '.join(connect)}", err=True)
                _leave_at_signals(agent)
                await agent.run()

        asyncio.run(run())
    except SdrestError as error:
        raise click.ClickException(error.message) from None
    click.echo("the worker has ended", err=True)


def _leave_at_signals(agent: Agent) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, agent.leave)
