"""Command-line options made from the table of settings."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, get_origin

import click
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from sdrest.cli.configuration import load_settings
from sdrest.core.errors import InvalidInput
from sdrest.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

#: Options by which only one server setting is reached under another, older name.
_ALIASES = {"models_dir": ("--model-dir",)}


def settings_options(*names: str) -> Callable[[F], F]:
    """Decorate a command with ``--config`` and an option for each setting (or each named one)."""

    def decorate(command: F) -> F:
        for name in reversed(names or tuple(Settings.model_fields)):
            command = _option(name)(command)
        return click.option(
            "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (JSON, TOML or YAML)."
        )(command)

    return decorate


def _option(name: str) -> Callable[[F], F]:
    field = Settings.model_fields[name]
    flag = "--" + name.replace("_", "-")
    annotation = field.annotation
    shown = not isinstance(field.default, SecretStr) and field.default not in {None, "", (), PydanticUndefined}
    text = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    default = f"  [default: {text}]" if shown else ""
    arguments: dict[str, Any] = {"help": f"{field.description}{default}", "default": None}
    if annotation in {bool, bool | None}:
        return _switch(flag, name, arguments)
    if get_origin(annotation) is tuple:
        arguments |= {"multiple": True, "default": ()}
    elif isinstance(annotation, type) and issubclass(annotation, StrEnum):
        arguments["type"] = click.Choice([item.value for item in annotation], case_sensitive=False)
    return click.option(flag, *_ALIASES.get(name, ()), name, **arguments)


def _switch(flag: str, name: str, arguments: dict[str, Any]) -> Callable[[F], F]:
    """``--cors``, ``--cors true`` and ``--no-cors``: older command lines write the value, newer ones need not."""

    def decorate(command: F) -> F:
        negative = click.option(f"--no-{flag[2:]}", f"no_{name}", is_flag=True, default=False, hidden=True)
        positive = click.option(flag, name, is_flag=False, flag_value="true", type=click.BOOL, **arguments)
        return negative(positive(command))

    return decorate


def settings_from(config: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings of a command.

    Raises:
        click.UsageError: naming each faulty flag, variable or line of the file.
    """
    given = {name: value for name, value in flags.items() if value not in {None, ()} and name in Settings.model_fields}
    # A list is written with commas, or by giving its flag several times.
    values = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in given.items()}
    values |= {name: False for name in Settings.model_fields if flags.get(f"no_{name}")}
    try:
        return load_settings(values, config)
    except InvalidInput as error:
        lines = "\n".join(f"  {problem.field}: {problem.message}" for problem in error.problems)
        raise click.UsageError(f"the settings are not right:\n{lines}") from None
