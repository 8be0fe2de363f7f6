"""``sdrest pull``: a model with all that it needs, in the quantisation that fits the memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from sdrest.cli.connecting import connected, problems_told, server_options
from sdrest.cli.logging import configure_logging
from sdrest.cli.model_commands import byte_bar
from sdrest.cli.options import settings_options
from sdrest.client import AsyncClient, JobFailed, ModelSet, Pulled
from sdrest.settings import MODEL_FOLDERS, LogLevel

_PIPE_WIDTH: Final = 2000
#: Folder in the data folder where unfinished pulls of this command are remembered.
_KEEP: Final = "pull"


@click.command()
@click.argument("name", default="")
@click.option("--quantisation", default="", help="Which one, instead of the best that fits the memory: q8_0, q4_k …")
@server_options
@settings_options(
    "models_dir",
    *MODEL_FOLDERS,
    "data_dir",
    "model_sets",
    "memory_budget_bytes",
    "download_hosts",
    "fetch_allowed_hosts",
    "max_model_bytes",
    "hf_endpoint",
)
def pull(name: str, quantisation: str, url: str | None, api_key: str | None, config: Path | None, **flags: Any) -> None:
    """Get a model set: a model and all the parts that it needs.

    Without a NAME, the sets are listed. What is here already is not fetched again, and parts that sets share are fetched once. An
    interrupted pull goes on where it was when it is asked for again.
    """
    configure_logging(LogLevel.ERROR, as_json=False)

    async def work() -> None:
        async with connected(url, api_key, config, flags, keep=_KEEP) as client:
            if name:
                await _fetch(client, await client.pull(name, quantisation=quantisation))
            else:
                _list(await client.model_sets())

    with problems_told(url):
        asyncio.run(work())


async def _fetch(client: AsyncClient, pulled: Pulled) -> None:
    choice = f"{pulled.name} in {pulled.quantisation}" if pulled.quantisation else pulled.name
    click.echo(f"{choice}: {pulled.reason}")
    for file in pulled.files:
        if file.job_id is None:
            click.echo(f"{file.name} is here")
            continue
        with byte_bar() as show:
            job = await client.wait(file.job_id, on_progress=show)
        if job.status != "completed":
            raise JobFailed(job)
        for warning in job.warnings:
            click.echo(warning, err=True)
        click.echo(f"downloaded {file.name}{', its hash is right' if file.hash_compared else ''}")


def _list(sets: Sequence[ModelSet]) -> None:
    table = Table("name", "what", "licence", "fits", "size", box=None, pad_edge=False)
    for item in sets:
        chosen = next((choice for choice in item.choices if choice.quantisation == item.chosen), None)
        size = chosen.size_bytes if chosen else None
        here = " (here)" if chosen and chosen.here else ""
        table.add_row(
            item.name, item.title, item.licence, item.chosen + here, f"{size / 1e9:.1f} GB" if size else "unknown"
        )
    # Into a pipe: one line for each set, however long it is.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
