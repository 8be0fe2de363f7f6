"""What commands on the model files of this machine have in common: they work without a server, on the folders themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from sdrest.cli.logging import configure_logging
from sdrest.cli.options import settings_from, settings_options
from sdrest.core.errors import SdrestError
from sdrest.core.model import Model
from sdrest.registry.model_sets import ModelSet, sets_of
from sdrest.registry.opening import registry_of
from sdrest.registry.registry import Registry
from sdrest.settings import MODEL_PLACES, LogLevel, Settings

F = TypeVar("F", bound=Callable[..., Any])

_PIPE_WIDTH: Final = 2000


def local_options(*more: str) -> Callable[[F], F]:
    """Decorate a command with ``--json`` and the settings that say which models there are, and with ``more`` settings."""
    settings = settings_options(*MODEL_PLACES, "model_aliases", "data_dir", *more)

    def decorate(command: F) -> F:
        return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(settings(command))

    return decorate


def opened(config: Path | None, flags: dict[str, Any]) -> tuple[Settings, Registry]:
    """The settings and the models as they are now.

    Raises:
        click.UsageError: a setting is wrong.
        SdrestError: the folders cannot be used.
    """
    # Whoever types this made the links, whatever the server that the configuration is for asks of its callers.
    settings = settings_from(config, {**flags, "auth": "none"})
    configure_logging(LogLevel.ERROR, as_json=False)
    registry = registry_of(settings)
    registry.refresh()
    return settings, registry


def sets_known(settings: Settings) -> tuple[ModelSet, ...]:
    """The model sets of sdrest and of the user's own catalogues in files; those at addresses are not asked for."""
    sets, problems = sets_of(settings.model_sets)
    for problem in problems:
        click.echo(f"note: {problem}", err=True)
    return sets


def named(registry: Registry, names: Iterable[str]) -> list[Model]:
    """The models that the names mean, each once. Raises :class:`ModelNotFound`, :class:`InvalidInput`."""
    found: dict[str, Model] = {}
    for name in names:
        path = str(Path(name).absolute())
        model = registry.catalogue.find(path) or registry.catalogue.resolve(name)
        found[model.id] = model
    return list(found.values())


@contextmanager
def faults_told() -> Iterator[None]:
    """Turn what goes wrong in the block into the command's message."""
    try:
        yield
    except SdrestError as error:
        raise click.ClickException(error.message) from None


def console() -> Console:
    """Where tables go: as wide as the terminal; into a pipe, one line for each row however long it is."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def size_text(size: int) -> str:
    """A size for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
