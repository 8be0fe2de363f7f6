"""From the command line, the environment and a configuration file to the settings of a server."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from sdrest.core.errors import FieldProblem, InvalidInput, did_you_mean, nearest
from sdrest.settings import VARIABLE_PREFIX, Settings

#: Variables of this beginning that are no settings: read by the clients, by what loads the native library, by the scripts that
#: install a service or stand in its unit, and by the benchmarks. Those of the tests begin with ``SDREST_TEST_``.
_OTHER_VARIABLES: Final = frozenset(
    {
        "SDREST_API_KEY",
        "SDREST_SERVER",
        "SDREST_SHIM",
        "SDREST_CONFIG",
        "SDREST_PYTHON",
        "SDREST_STATE",
        "SDREST_BENCH_FRACTION",
        "SDREST_CLUSTER_FAULTS",
        "SDREST_BUILD_JOBS",
        "SDREST_PEERS",
        "SDREST_SOAK_JOBS",
        "SDREST_SOAK_SECONDS",
    }
)
_TEST_PREFIX: Final = "SDREST_TEST_"


def load_settings(flags: dict[str, Any], config_file: Path | None = None) -> Settings:
    """The settings from flags (absent ones left out), environment, configuration file and defaults, in that order.

    Raises:
        InvalidInput: with one problem for each wrong value or unknown name.
    """
    from_file = read_config_file(config_file) if config_file else {}
    problems = [*_unknown_names(from_file), *_unknown_variables()]
    if problems:
        raise InvalidInput(problems)
    try:
        from_environment = Settings().model_dump(exclude_unset=True)
        return Settings(**{**from_file, **from_environment, **flags})
    except ValidationError as error:
        raise InvalidInput(
            FieldProblem(".".join(str(part) for part in e["loc"]), e["msg"]) for e in error.errors()
        ) from None


def read_config_file(path: Path) -> dict[str, Any]:
    """The values of a ``.json``, ``.toml``, ``.yaml`` or ``.yml`` file; dashes in names mean underscores.

    Raises:
        InvalidInput: when the file is missing, unreadable or not a mapping of names to values.
    """
    try:
        text = path.read_text(encoding="utf-8")
        match path.suffix.lower():
            case ".toml":
                values: object = tomllib.loads(text)
            case ".yaml" | ".yml":
                values = yaml.safe_load(text) or {}
            case _:
                values = json.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidInput(f"cannot read {path}: {error}", field="config") from None
    if not isinstance(values, dict):
        raise InvalidInput(f"{path} must hold a mapping of setting names to values", field="config")
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def _unknown_names(names: Iterable[str]) -> Iterator[FieldProblem]:
    known = Settings.model_fields
    for name in names:
        if name not in known:
            yield FieldProblem(name, f"unknown setting{did_you_mean(name, known)}")


def _unknown_variables() -> Iterator[FieldProblem]:
    """Variables of the environment that look like settings and are none."""
    for variable in sorted(os.environ):
        name = variable.upper()
        if not name.startswith(VARIABLE_PREFIX) or name.startswith(_TEST_PREFIX) or name in _OTHER_VARIABLES:
            continue
        setting = name.removeprefix(VARIABLE_PREFIX).lower()
        if setting not in Settings.model_fields:
            close = nearest(setting, Settings.model_fields)
            hint = f"; did you mean {VARIABLE_PREFIX}{close.upper()}?" if close else ""
            yield FieldProblem(variable, f"unknown setting{hint}")
