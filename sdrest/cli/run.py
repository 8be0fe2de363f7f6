"""``sdrest run``: from a model's name to a picture, with everything in between."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from sdrest.cli.connecting import connected, problems_told, server_options
from sdrest.cli.generate import paint, parameters_from, picture_options
from sdrest.cli.local_models import size_text
from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_options
from sdrest.cli.pull import PULL_FOLDER, PULL_SETTINGS, fetch
from sdrest.client import ModelSet, ServerError
from sdrest.client.replies import SetChoice
from sdrest.core.errors import did_you_mean
from sdrest.settings import LogLevel

#: Parts of a set that a request names as its model.
_MAIN_PARTS: Final = ("checkpoint", "diffusion_model")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A model set, in the quantisation that is meant, and the file by which a request names it."""

    model_set: ModelSet
    choice: SetChoice
    file: str

    def body(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request with this model."""
        return {**body, "model": self.file}


@click.command()
@picture_options
@click.option("--quantisation", default="", help="Of the model set, instead of the best that fits the memory.")
@click.option("-y", "--yes", is_flag=True, help="Fetch what is missing without asking.")
@server_options
@settings_options(*PULL_SETTINGS, "threads")
def run(
    prompt: str,
    output_file: Path,
    quantisation: str,
    url: str | None,
    api_key: str | None,
    config: Path | None,
    *,
    yes: bool,
    **flags: Any,
) -> None:
    """Make a picture from PROMPT, with a model that is fetched first where it is not here.

    --model names a model set (sdrest pull lists them) or a model that is here. Before anything is fetched, its size and licence
    are told and you are asked; scripts say --yes.
    """
    body = parameters_from(prompt, flags)
    configure_logging(LogLevel.ERROR, as_json=False)

    async def work() -> list[Path]:
        async with connected(url, api_key, config, flags, needs_engine=True) as client:
            sets = await client.model_sets() if body.get("model") else ()
            wanted = _set_named(sets, str(body.get("model", "")), quantisation)
            if wanted is None or wanted.choice.here:
                try:
                    return await paint(client, wanted.body(body) if wanted else body, output_file)
                except ServerError as error:
                    wanted = _set_instead(sets, str(body.get("model", "")), error)
        _ask(wanted, yes=yes)
        async with connected(url, api_key, config, flags, keep=PULL_FOLDER) as client:
            pulled = await client.pull(wanted.model_set.name, quantisation=wanted.choice.quantisation)
            await fetch(client, pulled, say=lambda line: click.echo(line, err=True))
        async with connected(url, api_key, config, flags, needs_engine=True) as client:
            return await paint(client, wanted.body(body), output_file)

    with problems_told(url):
        files = asyncio.run(work())
    for file in files:
        click.echo(file)


def _set_named(sets: Sequence[ModelSet], name: str, quantisation: str) -> _Wanted | None:
    """The set of that name; None where there is none.

    Raises:
        click.ClickException: the set makes no pictures by itself, or has no such quantisation.
    """
    found = next((item for item in sets if item.name == name.lower()), None)
    if found is None:
        return None
    choices = {choice.quantisation: choice for choice in found.choices}
    if quantisation and quantisation.lower() not in choices:
        raise click.ClickException(f"{name} has no quantisation {quantisation!r}; it has: {', '.join(choices)}")
    here = next((choice for choice in found.choices if choice.here), None)
    choice = choices[quantisation.lower()] if quantisation else here or choices[found.chosen]
    file = _main_file(choice)
    if file is None:
        raise click.ClickException(f"the model set {name} makes no pictures by itself: {found.title}")
    return _Wanted(found, choice, file)


def _set_instead(sets: Sequence[ModelSet], name: str, error: ServerError) -> _Wanted:
    """The set that would mend what the server said of the model: the one whose main file is called so, and lacks a part.

    Raises:
        ServerError: the error itself, which no set mends.
        click.ClickException: nothing is called so at all.
    """
    if error.slug in {"model_not_found", "model_unusable"}:
        for item in sets:
            for choice in item.choices:
                file = _main_file(choice)
                if not choice.here and file is not None and name in {file, file.rpartition(".")[0]}:
                    return _Wanted(item, choice, file)
    if error.slug != "model_not_found" or not name:
        raise error
    near = did_you_mean(name, [item.name for item in sets])
    raise click.ClickException(f"{error}; nor is it a model set{near}. sdrest pull lists the model sets")


def _main_file(choice: SetChoice) -> str | None:
    return next((file.name for file in choice.files if file.part in _MAIN_PARTS), None)


def _ask(wanted: _Wanted, *, yes: bool) -> None:
    """Tell what would be fetched, and ask.

    Raises:
        click.ClickException: there is nobody to ask.
        click.Abort: the answer was no.
    """
    item, choice = wanted.model_set, wanted.choice
    size = f"at most {size_text(choice.size_bytes)}" if choice.size_bytes else "of unknown size"
    quantisation = f" in {choice.quantisation}" if choice.quantisation else ""
    count = f"{len(choice.files)} file{'s' if len(choice.files) > 1 else ''}"
    what = f"{item.title} ({item.name}{quantisation}) is not all here: {count}, {size}; licence: {item.licence}"
    if yes:
        click.echo(what, err=True)
    elif not sys.stdin.isatty():
        raise click.ClickException(f"{what}. Without a terminal to ask on, --yes must say that it may be fetched")
    else:
        click.echo(what, err=True)
        click.confirm("Fetch it?", abort=True, err=True)
