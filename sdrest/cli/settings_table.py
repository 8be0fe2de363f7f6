"""``docs/settings.md``, made from the tables of settings, bounds and parameters.

``python -m sdrest.cli.settings_table > docs/settings.md`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from types import UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from sdrest.core import bounds
from sdrest.core.parameters import Limits, VideoParameters, limits_of
from sdrest.settings import Settings

_HEAD = """# Settings

Every setting is a flag of `sdrest serve`, an environment variable, and a name in the file that `--config` names (JSON, TOML, YAML).
A flag goes before the environment, that before the file, that before the default. Lists are written with commas in flags and
variables. A name that is no setting, in the file or in a variable that begins with `SDREST_`, is refused at start with the nearest
that is one. `GET /api/config` shows the values in force, without secrets.

This page is made from `sdrest/settings.py`, `sdrest/core/bounds.py` and `sdrest/core/parameters.py`; a test fails when it is stale.

| Flag | Environment | Takes | Default | Meaning |
|---|---|---|---|---|
"""
_TAIL = """
Accepted for older command lines: `--model-dir` for `--models-dir`, `--repository` (has no meaning), `--cors true` for `--cors`, and
the same for every other switch; every switch has a `--no-…` form.

`--follow-links` that is not given is on with `--auth none` and off with any other; `docs/models.md` says which links are followed.
"""


_BOUNDS = """
## Bounds

What one request, and all requests together, may make the server do. Beyond a bound a request gets a 4xx that names it, before
anything is worked on. Settings can be changed; the others are the same everywhere. `GET /api/parameters` tells the range of
every parameter.

| Bound | Default or value | Of what |
|---|---|---|
"""
#: The settings that bound what a caller can make the server do.
BOUNDING_SETTINGS: Final = (
    "max_body_bytes",
    "max_body_bytes_at_once",
    "max_image_pixels",
    "max_pixels_at_once",
    "fetch_max_bytes",
    "fetch_timeout_seconds",
    "max_model_bytes",
    "max_streams_per_user",
    "max_pending_jobs",
    "max_pending_jobs_per_user",
    "rate_limit_per_minute",
    "guest_max_pending",
    "guest_max_pixels",
    "guest_max_steps",
    "guest_max_images",
    "login_max_failures",
    "sync_timeout_seconds",
    "hang_up_grace_seconds",
    "min_free_bytes",
)


#: The parameters whose ranges bound how much work a job is.
BOUNDING_PARAMETERS: Final = (
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "steps",
    "batch_count",
    "custom_sigmas",
    "loras",
    "ref_images",
    "pm_id_images",
    "hires.scale",
    "hires.target_width",
    "hires.target_height",
    "hires.steps",
    "upscale_factor",
    "video_frames",
    "fps",
    "control_frames",
)


def settings_page() -> str:
    """The whole page."""
    return _HEAD + "".join(_rows()) + _TAIL + _BOUNDS + "".join(_bounds())


def _bounds() -> Iterator[str]:
    for name in BOUNDING_SETTINGS:
        field = Settings.model_fields[name]
        yield f"| setting `{name}` | {field.default} | {field.description} |\n"
    for name, meaning in bound_meanings().items():
        yield f"| {name} | {getattr(bounds, name)} | {meaning} |\n"
    for name in BOUNDING_PARAMETERS:
        limits = _limits(VideoParameters, name)
        size = f"{limits.ge} to {limits.le}" if limits.le is not None else f"up to {limits.max_length}"
        yield f"| parameter `{name}` | {size} | {limits.help} |\n"


def bound_meanings() -> dict[str, str]:
    """The sentence beside each bound of :mod:`sdrest.core.bounds`."""
    hints = get_type_hints(bounds, include_extras=True)
    return {name: get_args(get_args(hint)[0])[1] for name, hint in hints.items() if name.isupper()}


def _limits(table: type, path: str) -> Limits:
    """The limits of a field of a parameter table, or of a field within one (``hires.steps``)."""
    name, _, rest = path.partition(".")
    if rest:
        return _limits(cast("type", get_type_hints(table)[name]), rest)
    return limits_of(next(item for item in fields(table) if item.name == name))


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
