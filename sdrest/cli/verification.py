"""``sdrest models verify``: whether model files are still what they should be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from sdrest.cli.local_models import console, faults_told, local_options, named, opened, sets_known
from sdrest.cli.model_commands import byte_bar
from sdrest.cli.model_reports import print_json
from sdrest.client import Progress
from sdrest.core.model import TEXT_TYPES, Model
from sdrest.registry.registry import Registry
from sdrest.registry.verification import Expected, Verification, expected_of, verify
from sdrest.work.downloads.first_seen import first_seen_in


@click.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All models.")
@local_options("model_sets")
def verify_models(names: tuple[str, ...], config: Path | None, *, every: bool, as_json: bool, **flags: Any) -> None:
    """Read models from end to end and compare their SHA-256 with what is known of it; check their headers.

    Digests are known from model sets, from the first download of a file, and from descriptions that download tools put
    beside it. Exits with 1 when a file differs or is damaged. Where no digest is known, its own is told.
    """
    if bool(names) is every:
        raise click.UsageError("name the models, or say --all")
    found: list[Verification] = []
    with faults_told():
        settings, registry = opened(config, flags)
        sets = sets_known(settings)
        seen = first_seen_in(settings.models_dir)
        models = named(registry, names) if names else [m for m in registry.catalogue.models if not m.type & TEXT_TYPES]
        for model in models:
            expected = expected_of(registry.folders, model, sets, seen.sha256)
            try:
                result = _verified(registry, model, expected)
            except OSError as error:
                raise click.ClickException(f"{model.path} cannot be read: {error.strerror}") from None
            found.append(result)
            if not as_json:
                _print(result)
    if as_json:
        print_json(console(), {"models": [_json(item) for item in found]})
    if any(item.verdict.is_bad for item in found):
        raise click.exceptions.Exit(1)


def _verified(registry: Registry, model: Model, expected: Iterable[Expected]) -> Verification:
    with byte_bar() as show:

        def bar(done: int, total: int) -> None:
            show(Progress(done_bytes=done, total_bytes=total))

        return verify(registry, model, expected, bar)


def _print(result: Verification) -> None:
    sources = ", ".join(item.source for item in result.expected)
    told = {
        "ok": f"as {sources} says" if sources else "",
        "unknown": f"no digest is known; its SHA-256 is {result.sha256}" if result.sha256 else "its header is sound",
    }.get(result.verdict, "; ".join(result.problems))
    click.secho(f"{result.verdict.value:<8}", fg="red" if result.verdict.is_bad else None, nl=False)
    click.echo(f" {result.model.relative_path}: {told}")


def _json(result: Verification) -> dict[str, object]:
    return {
        "id": result.model.id,
        "name": result.model.name,
        "file": str(result.model.path),
        "verdict": result.verdict.value,
        "sha256": result.sha256 or None,
        "expected": [{"sha256": item.sha256, "source": item.source} for item in result.expected],
        "problems": list(result.problems),
    }
