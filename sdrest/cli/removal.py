"""``sdrest models rm``: remove models, and never what others need without saying so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sdrest.cli.local_models import console, faults_told, local_options, named, opened, sets_known, size_text
from sdrest.cli.model_reports import print_json
from sdrest.core.model import Model
from sdrest.registry.removal import Effect, Removal, models_of_set, plan_removal, remove


@click.command("rm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Remove also what other models or model sets need.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@local_options("model_sets")
def remove_models(
    names: tuple[str, ...], config: Path | None, *, yes: bool, force: bool, dry_run: bool, as_json: bool, **flags: Any
) -> None:
    """Remove models: registered ones by any of their names, or model sets with all parts that nothing else needs.

    The files beside a model that speak of it (descriptions, previews) go with it. What another model or model set needs is
    named, and only removed with --force.
    """
    with faults_told():
        settings, registry = opened(config, flags)
        sets = sets_known(settings)
        by_name = {item.name: item for item in sets}
        models: list[Model] = []
        kept: list[Model] = []
        for name in names:
            if name in by_name and registry.catalogue.find(name) is None:
                gone, shared = models_of_set(registry, by_name[name], sets)
                if not gone:
                    raise click.ClickException(f"nothing of the model set {name} is here")
                models += gone
                kept += shared
            else:
                models += named(registry, [name])
        models = list({model.id: model for model in models}.values())
        plan = plan_removal(registry, models, sets)
        if plan.is_harmful and not force and not dry_run:
            needed = "\n".join(f"  {line}" for line in _harm(plan))
            raise click.ClickException(f"others need this; --force removes it all the same:\n{needed}")
        if not as_json:
            _print(plan, kept)
        if not dry_run:
            _confirm(plan, yes=yes)
            remove(plan)
    if as_json:
        print_json(console(), _json(plan, kept, removed=not dry_run))
    elif not dry_run:
        click.echo(f"removed; {size_text(plan.size)} are free again")


def _confirm(plan: Removal, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException("this removes files; without a terminal to ask on, --yes must say so")
    count = sum(len(item.paths) for item in plan.going)
    click.confirm(f"Remove {count} file{'s' if count > 1 else ''}, {size_text(plan.size)}?", abort=True, err=True)


def _print(plan: Removal, kept: list[Model]) -> None:
    for item in plan.going:
        for path in item.paths:
            link = " (a link; what it leads to stays)" if path.is_symlink() else ""
            click.echo(f"goes: {path}{link}")
    for model in kept:
        click.echo(f"stays, since others take it: {model.path}")
    for effect in plan.effects:
        if effect.instead is not None:
            click.echo(f"note: {_change(effect)}")
    for line in _harm(plan):
        click.echo(f"note: {line}")


def _change(effect: Effect) -> str:
    instead = effect.instead.name if effect.instead else ""
    return f"{effect.model.name} would be loaded with {instead} for its {effect.component.value} instead of {effect.lost.name}"


def _harm(plan: Removal) -> Iterator[str]:
    for effect in plan.effects:
        if effect.instead is None:
            yield f"{effect.model.name} could not be loaded without {effect.lost.name}, its {effect.component.value}"
    for name in plan.sets:
        yield f"the model set {name} would lack a part"


def _json(plan: Removal, kept: list[Model], *, removed: bool) -> dict[str, object]:
    return {
        "removed": removed,
        "size_bytes": plan.size,
        "models": [
            {"id": i.model.id, "name": i.model.name, "files": [str(p) for p in i.paths], "size_bytes": i.size}
            for i in plan.going
        ],
        "kept": [{"id": model.id, "name": model.name, "file": str(model.path)} for model in kept],
        "affected": [
            {
                "model": effect.model.name,
                "component": effect.component,
                "lost": effect.lost.name,
                "instead": effect.instead.name if effect.instead else None,
            }
            for effect in plan.effects
        ],
        "sets": list(plan.sets),
    }
