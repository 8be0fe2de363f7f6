"""``sdrest models list`` and ``sdrest models download``: what models there are, and more of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from sdrest.cli.connecting import connected, problems_told, server_options
from sdrest.cli.local_models import console
from sdrest.cli.logging import configure_logging
from sdrest.cli.model_reports import print_json
from sdrest.cli.options import settings_options
from sdrest.client import AsyncClient, JobFailed, ModelSummary
from sdrest.client import Progress as JobProgress
from sdrest.client.exchange import OnProgress
from sdrest.settings import MODEL_FOLDERS, MODEL_PLACES, LogLevel

_PAGE: Final = 1000


@click.command("list")
@click.option("--type", "kind", default="", help="Only these types: lora, vae, 'checkpoint|diffusion_model' …")
@click.option("--search", default="", help="Only those whose name or description holds these words.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@server_options
@settings_options(*MODEL_PLACES, "data_dir")
def list_models(
    kind: str, search: str, url: str | None, api_key: str | None, config: Path | None, *, as_json: bool, **flags: Any
) -> None:
    """List the models."""
    configure_logging(LogLevel.ERROR, as_json=False)

    async def ask() -> list[ModelSummary]:
        async with connected(url, api_key, config, flags) as client:
            return await _all(client, kind, search)

    with problems_told(url):
        found = asyncio.run(ask())
    if as_json:
        print_json(console(), {"models": msgspec.to_builtins(found)})
        return
    table = Table("name", "type", "architecture", "quantization", "size", box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    for model in found:
        size = f"{model.size / 1e6:.1f} MB"
        table.add_row(model.name, model.type, model.architecture or "", model.quantization or "", size, model.path)
    console().print(table)


async def _all(client: AsyncClient, kind: str, search: str) -> list[ModelSummary]:
    found: list[ModelSummary] = []
    page: Sequence[ModelSummary] = ()
    number = 0
    while number == 0 or len(page) == _PAGE:
        number += 1
        page = await client.models(type=kind, search=search, page=number, limit=_PAGE)
        found += page
    return found


@click.command()
@click.argument("source")
@click.option(
    "--type", "kind", default="", help="Which folder it goes to: checkpoints, lora, vae … (CivitAI tells it)."
)
@click.option("--path", default="", help="Sub-folder, file name, or both, within that folder.")
@click.option("--sha256", default="", help="Hash that the file must have.")
@server_options
@settings_options(
    "models_dir",
    *MODEL_FOLDERS,
    "download_hosts",
    "fetch_allowed_hosts",
    "max_model_bytes",
    "hf_endpoint",
    "civitai_url",
)
def download(
    source: str,
    kind: str,
    path: str,
    sha256: str,
    url: str | None,
    api_key: str | None,
    config: Path | None,
    **flags: Any,
) -> None:
    """Download a model: SOURCE is a URL, hf:owner/repository/file@revision, or civitai:VERSION.

    Tokens are read from SDREST_HF_TOKEN (or HF_TOKEN) and SDREST_CIVITAI_API_KEY, or from the configuration.
    """
    configure_logging(LogLevel.ERROR, as_json=False)

    async def fetch() -> str:
        async with connected(url, api_key, config, flags) as client:
            job = await client.download_model(source, type=kind, path=path, sha256=sha256)
            try:
                with byte_bar() as show:
                    job = await client.wait(job, on_progress=show)
            except asyncio.CancelledError:
                await client.cancel(job)
                raise
            if job.status != "completed":
                raise JobFailed(job)
            for warning in job.warnings:
                click.echo(warning, err=True)
            return job.model.name

    with problems_told(url):
        name = asyncio.run(fetch())
    click.echo(f"downloaded {name}")


@contextmanager
def byte_bar() -> Iterator[OnProgress]:
    """A bar on the terminal for the length of the block; what is given shows a job's bytes on it."""
    columns = (
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        shown = bar.add_task("", total=None)

        def show(progress: JobProgress) -> None:
            bar.update(shown, completed=progress.done_bytes or 0, total=progress.total_bytes)

        yield show
