"""``sdrest info``: what programs have written into picture files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from sdrest.outputs.written.reading import Written, read_written


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file, one a line.")
def info(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Show what is written in picture files.

    That is the settings that sdrest, A1111, stable-diffusion.cpp, ComfyUI, InvokeAI, NovelAI and SwarmUI leave in them, and whether
    they say that a model made them. Needs no server. The exit status is 1 when a file holds none of it.
    """
    is_all = True
    for file in files:
        found = read_written(file.read_bytes())
        is_all = is_all and bool(found.parts or found.digital_source)
        if as_json:
            click.echo(json.dumps({"file": str(file), **dataclasses.asdict(found)}, ensure_ascii=False))
        else:
            _print(file, found, with_name=len(files) > 1)
    if not is_all:
        raise click.exceptions.Exit(1)


def _print(file: Path, found: Written, *, with_name: bool) -> None:
    if with_name:
        click.echo(f"{file}:")
    if not any(found.size):
        click.echo("No picture that can be read (PNG, JPEG, WebP, AVIF).")
    elif not found.parts:
        click.echo("No settings are written in this picture.")
    else:
        click.echo(found.infotext)
        click.echo(f"Written by: {found.program}")
    if found.digital_source:
        click.echo(f"Digital source type: {found.digital_source}")
    if with_name:
        click.echo()
