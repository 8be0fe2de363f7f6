"""``sdrest openapi``: the API's description without a running server."""

from __future__ import annotations

import json

import click

from sdrest.app import build_app
from sdrest.settings import Settings
from sdrest.web.http.openapi import document


@click.command()
def openapi() -> None:
    """Write the OpenAPI 3.1 document to standard output."""
    click.echo(json.dumps(document(build_app(Settings())), indent=2, ensure_ascii=False))
