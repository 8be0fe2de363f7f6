"""``sdrest pull``: a model with all that it needs, in the quantisation that fits the memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.table import Table

from sdrest.cli.connecting import connected, problems_told, server_options
from sdrest.cli.local_models import console
from sdrest.cli.logging import configure_logging
from sdrest.cli.model_commands import byte_bar
from sdrest.cli.model_reports import print_json
from sdrest.cli.options import settings_options
from sdrest.client import AsyncClient, JobFailed, ModelSet, Pulled
from sdrest.settings import MODEL_PLACES, LogLevel

#: Folder in the data folder where unfinished pulls are remembered.
PULL_FOLDER: Final = "pull"
#: The settings that matter for a pull without a server.
PULL_SETTINGS: Final = (
    *MODEL_PLACES,
    "data_dir",
    "model_sets",
    "memory_budget_bytes",
    "download_hosts",
    "fetch_allowed_hosts",
    "max_model_bytes",
    "hf_endpoint",
)


@click.command()
@click.argument("name", default="")
@click.option("--quantisation", default="", help="Which one, instead of the best that fits the memory: q8_0, q4_k …")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@server_options
@settings_options(*PULL_SETTINGS)
def pull(
    name: str,
    quantisation: str,
    url: str | None,
    api_key: str | None,
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Get a model set: a model and all the parts that it needs.

    Without a NAME, the sets are listed. What is here already is not fetched again, and parts that sets share are fetched once. An
    interrupted pull goes on where it was when it is asked for again.
    """
    configure_logging(LogLevel.ERROR, as_json=False)

    async def work() -> None:
        async with connected(url, api_key, config, flags, keep=PULL_FOLDER) as client:
            if name:
                pulled = await client.pull(name, quantisation=quantisation)
                await fetch(client, pulled, say=(lambda _line: None) if as_json else click.echo)
                if as_json:
                    print_json(console(), msgspec.to_builtins(pulled))
            elif as_json:
                print_json(console(), {"sets": msgspec.to_builtins(await client.model_sets())})
            else:
                _list(await client.model_sets())

    with problems_told(url):
        asyncio.run(work())


async def fetch(client: AsyncClient, pulled: Pulled, *, say: Callable[[str], object]) -> None:
    """Wait until all files of a pulled set are here; ``say`` gets a line for each.

    Raises:
        JobFailed: a download failed or was cancelled.
    """
    choice = f"{pulled.name} in {pulled.quantisation}" if pulled.quantisation else pulled.name
    say(f"{choice}: {pulled.reason}")
    for file in pulled.files:
        if file.job_id is None:
            say(f"{file.name} is here")
            continue
        with byte_bar() as show:
            job = await client.wait(file.job_id, on_progress=show)
        if job.status != "completed":
            raise JobFailed(job)
        for warning in job.warnings:
            click.echo(warning, err=True)
        say(f"downloaded {file.name}{', its hash is right' if file.hash_compared else ''}")


def _list(sets: Sequence[ModelSet]) -> None:
    table = Table("name", "what", "licence", "fits", "size", box=None, pad_edge=False)
    for item in sets:
        chosen = next((choice for choice in item.choices if choice.quantisation == item.chosen), None)
        size = chosen.size_bytes if chosen else None
        here = " (here)" if chosen and chosen.here else ""
        table.add_row(
            item.name, item.title, item.licence, item.chosen + here, f"{size / 1e9:.1f} GB" if size else "unknown"
        )
    console().print(table)
