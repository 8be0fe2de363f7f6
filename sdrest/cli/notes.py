"""``sdrest models set``: write beside a model what is known of it, and how it works best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from sdrest.cli.local_models import console, faults_told, local_options, named, opened
from sdrest.cli.model_reports import print_json
from sdrest.core.errors import InvalidInput, did_you_mean
from sdrest.core.model import MAIN_TYPES, Component, Model
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.defaults import default_from
from sdrest.registry.loading import chosen_parts
from sdrest.registry.own_notes import change_notes
from sdrest.registry.sidecars import NOTES_LIMIT


@click.command("set")
@click.argument("name")
@click.option("--title", help="What people call it.")
@click.option("--description", help="What it is.")
@click.option("--notes", help="Whatever you want to remember of it.")
@click.option("--trigger-words", help="Words that prompts need, with commas between.")
@click.option("--default", "defaults", multiple=True, metavar="NAME=VALUE", help="steps=12, sampler=euler_a …")
@click.option("--part", "parts", multiple=True, metavar="PART=MODEL", help="Load it with this file: vae=ae, t5xxl=… ")
@local_options()
def set_notes(
    name: str,
    title: str | None,
    description: str | None,
    notes: str | None,
    trigger_words: str | None,
    defaults: tuple[str, ...],
    parts: tuple[str, ...],
    config: Path | None,
    *,
    as_json: bool,
    **flags: Any,
) -> None:
    """Change what is written beside the model NAME: notes, trigger words, defaults, the parts that it is loaded with.

    It is kept in NAME.json beside the model's file, where A1111 keeps such things, too; of a model in another program's folder,
    in our own data folder. An empty value ("", steps=, vae=) takes away what was there.
    """
    with faults_told():
        _, registry = opened(config, flags)
        (model,) = named(registry, [name])
        changes: dict[str, object] = {}
        for field, value in (("model_name", title), ("description", description), ("notes", notes)):
            if value is not None:
                changes[field] = value.strip()
        if notes is not None and len(notes) > NOTES_LIMIT:
            raise InvalidInput(f"at most {NOTES_LIMIT} characters", field="notes")
        if trigger_words is not None:
            changes["activation text"] = ", ".join(filter(None, map(str.strip, trigger_words.split(","))))
        if defaults:
            changes["defaults"] = dict(_defaults(model, defaults))
        if parts:
            changes["parts"] = dict(_parts(registry.catalogue, model, parts))
        if not changes:
            raise click.UsageError("nothing to change: give --notes, --trigger-words, --default, --part …")
        file = change_notes(registry.folders, model, changes)
        registry.refresh()
        model = registry.catalogue.get(model.id) or model
    if as_json:
        print_json(console(), {"file": str(file), **_json(model)})
    else:
        click.echo(f"written to {file}")


def _defaults(model: Model, given: Iterable[str]) -> Iterator[tuple[str, str | int | float]]:
    for item in given:
        key, text = _pair(item, "default")
        yield key, default_from(model, key, text) if text else ""


def _parts(catalogue: Catalogue, model: Model, given: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The parts by the names under which their files are listed, which are theirs alone."""
    if not model.type & MAIN_TYPES:
        raise InvalidInput(f"{model.name} is no model that makes pictures: it has no parts", field="parts")
    known = {component.value: component for component in Component}
    for item in given:
        key, text = _pair(item, "part")
        if key not in known:
            raise InvalidInput(
                f"unknown part {key!r}{did_you_mean(key, known)}; known: {', '.join(known)}", field="parts"
            )
        yield key, chosen_parts(catalogue, model, {known[key]: text})[known[key]].relative_path if text else ""


def _pair(text: str, what: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"{text!r} is no NAME=VALUE", field=what)
    return key.strip().replace("-", "_"), value.strip()


def _json(model: Model) -> dict[str, object]:
    return {
        "id": model.id,
        "name": model.name,
        "title": model.title,
        "description": model.description,
        "notes": model.notes,
        "trigger_words": list(model.trigger_words),
        "defaults": dict(model.defaults),
        "parts": {component.value: name for component, name in model.parts.items()},
    }
