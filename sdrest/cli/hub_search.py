"""``sdrest models search``: models on CivitAI and Hugging Face that run here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table

from sdrest.cli.connecting import connected, problems_told, server_options
from sdrest.cli.local_models import console
from sdrest.cli.logging import configure_logging
from sdrest.cli.model_reports import print_json
from sdrest.cli.options import settings_options
from sdrest.client import HubListing, HubModel
from sdrest.settings import MODEL_PLACES, LogLevel


@click.command("search")
@click.argument("query")
@click.option("--hub", type=click.Choice(["civitai", "huggingface"]), help="Look there only.")
@click.option("--type", "kind", default="", help="Only these: checkpoints, lora, vae, controlnet, embeddings, esrgan …")
@click.option("--all", "everything", is_flag=True, help="Also what does not run here, or does not fit the memory.")
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="Models of each hub.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@server_options
@settings_options(
    *MODEL_PLACES,
    "memory_budget_bytes",
    "download_hosts",
    "fetch_allowed_hosts",
    "hf_endpoint",
    "civitai_url",
    "hub_rating",
)
def search_hubs(
    query: str,
    hub: str | None,
    kind: str,
    limit: int,
    url: str | None,
    api_key: str | None,
    config: Path | None,
    *,
    everything: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Search CivitAI and Hugging Face for models that run here.

    What is found can be given to sdrest models download. Keys are read from SDREST_CIVITAI_API_KEY and SDREST_HF_TOKEN (or
    HF_TOKEN), or from the configuration; each is told to its own hub only.
    """
    configure_logging(LogLevel.ERROR, as_json=False)

    async def ask() -> HubListing:
        async with connected(url, api_key, config, flags) as client:
            return await client.search_hubs(
                query, hub=hub or "", type=kind, runs=not everything, fits=not everything, limit=limit
            )

    with problems_told(url):
        found = asyncio.run(ask())
    if as_json:
        print_json(console(), msgspec.to_builtins(found))
    else:
        if found.models:
            _print(found.models)
        elif not found.problems:
            click.echo("nothing was found", err=True)
        if found.hidden:
            click.echo(f"{found.hidden} more do not run here or do not fit the memory: --all shows them", err=True)
    for problem in found.problems:
        click.echo(problem, err=True)
    if found.problems and not found.models:
        raise click.exceptions.Exit(1)


def _print(models: Sequence[HubModel]) -> None:
    table = Table("name", "type", "for", "size", "fits", "licence", box=None, pad_edge=False)
    table.add_column("source", overflow="fold")
    for model in models:
        file = next((item for item in model.files if item.fits == "yes"), next(iter(model.files), None))
        size = _size(file.size) if file and file.size else "unknown"
        name = f"{model.name}{' (here)' if model.here else ''}{' (sign in)' if model.gated else ''}"
        source = file.source if file else model.page
        table.add_row(name, model.type, model.base_model, size, file.fits if file else "", model.licence, source)
    console().print(table)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
