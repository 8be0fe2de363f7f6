"""``sdrest models``: model files on this machine."""

from __future__ import annotations

import click

from sdrest.cli.disk import disk_usage
from sdrest.cli.hub_search import search_hubs
from sdrest.cli.inspection import inspect
from sdrest.cli.model_commands import download, list_models
from sdrest.cli.notes import set_notes
from sdrest.cli.pull import pull
from sdrest.cli.removal import remove_models
from sdrest.cli.upscalers import add_upscaler
from sdrest.cli.verification import verify_models


@click.group()
def models() -> None:
    """Model files on this machine."""


models.add_command(list_models)
models.add_command(search_hubs)
models.add_command(inspect)
models.add_command(pull)
models.add_command(download)
models.add_command(disk_usage)
models.add_command(verify_models)
models.add_command(set_notes)
models.add_command(remove_models)
models.add_command(add_upscaler)
