"""``docs/settings.md``, made from the table of settings: ``python -m sdrest.cli.settings_table > docs/settings.md``."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from sdrest.settings import Settings

_HEAD = """# Settings

Every setting is a flag of `sdrest serve`, an environment variable, and a name in the file that `--config` names (JSON, TOML, YAML).
A flag goes before the environment, that before the file, that before the default. Lists are written with commas in flags and
variables. A name that is no setting, in the file or in a variable that begins with `SDREST_`, is refused at start with the nearest
that is one. `GET /api/config` shows the values in force, without secrets.

This page is made from `sdrest/settings.py`; a test fails when it is stale.

| Flag | Environment | Takes | Default | Meaning |
|---|---|---|---|---|
"""
_TAIL = """
Accepted for older command lines: `--model-dir` for `--models-dir`, `--repository` (has no meaning), `--cors true` for `--cors`, and
the same for every other switch; every switch has a `--no-…` form.

`--follow-links` that is not given is on with `--auth none` and off with any other; `docs/models.md` says which links are followed.
"""


def settings_page() -> str:
    """The whole page."""
    return _HEAD + "".join(_rows()) + _TAIL


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        default = field.default
        if default in {None, PydanticUndefined, "", ()} or isinstance(default, SecretStr):
            shown = ""
        else:
            text = ",".join(default) if isinstance(default, tuple) else str(default)
            shown = f"`{text.lower() if isinstance(default, bool) else text}`"
        meaning = (field.description or "").replace("|", "\\|")
        yield f"| `{flag}` | `SDREST_{name.upper()}` | {_kind(field.annotation)} | {shown} | {meaning} |\n"


def _kind(annotation: Any) -> str:
    """What the setting takes, in a word or two."""
    if get_origin(annotation) in {Union, UnionType}:
        return _kind(next(item for item in get_args(annotation) if item is not type(None)))
    if get_origin(annotation) is tuple:
        return "list"
    if get_origin(annotation) is dict:
        return "JSON object"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return " ".join(f"`{item}`" for item in annotation)
    names = {
        "bool": "switch",
        "int": "whole number",
        "float": "number",
        "str": "text",
        "Path": "path",
        "SecretStr": "secret",
    }
    return names.get(getattr(annotation, "__name__", ""), "text")


if __name__ == "__main__":
    print(settings_page(), end="")
