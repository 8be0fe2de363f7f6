"""Bodies built from the parameter tables of the core: one table validates, documents and draws the forms.

Such a body has the table's fields under the names of its route (``sampling_method`` for ``sampler``), refuses unknown names, takes
digits in strings for numbers and ``"random"`` or null for seeds.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, create_model

from sdrest.core.errors import did_you_mean
from sdrest.core.names import Sampler, Scheduler, parse_sampler, parse_scheduler
from sdrest.core.parameters import RANDOM_SEED, Limits, limits_of
from sdrest.web.http.bodies import Body

#: Longest picture field: base64 of the largest body that the server may be told to take.
_MAX_PICTURE_CHARACTERS: Final = 2**31


def _seed(value: object) -> object:
    if value is None or (isinstance(value, str) and value.strip().lower() in {"", "random", "-1"}):
        return RANDOM_SEED
    return value


def _sampler(value: object) -> object:
    known = parse_sampler(value) if isinstance(value, str) else None
    if known is None:
        name = str(value)
        raise ValueError(f"unknown sampler {name!r}{did_you_mean(name, Sampler)}; known: {', '.join(Sampler)}")
    return known[0]


def _scheduler(value: object) -> object:
    known = parse_scheduler(value) if isinstance(value, str) else None
    if known is None:
        name = str(value)
        raise ValueError(f"unknown scheduler {name!r}{did_you_mean(name, Scheduler)}; known: {', '.join(Scheduler)}")
    return known


def _choice(kind: type[StrEnum], value: object) -> object:
    try:
        return kind(str(value).strip().lower())
    except ValueError:
        raise ValueError(f"must be one of: {', '.join(kind)}{did_you_mean(str(value), kind)}") from None


@functools.cache
def body_model(
    name: str,
    table: type,
    *,
    only: frozenset[str] | None = None,
    rename: tuple[tuple[str, str], ...] = (),
    required: frozenset[str] = frozenset(),
    extra: tuple[tuple[str, Any, Any], ...] = (),
) -> type[Body]:
    """A body with the fields of a parameter table.

    Args:
        name: Class name, shown in the OpenAPI document.
        table: A dataclass whose fields were made with ``param``.
        only: Fields to take; None: all.
        rename: Pairs (field, name on this route).
        required: Fields (by table name) without which the request makes no sense.
        extra: Further fields as (name, annotation, pydantic field).
    """
    names = dict(rename)
    hints = typing.get_type_hints(table)
    fields: dict[str, Any] = {}
    for item in dataclasses.fields(table):
        if only is None or item.name in only:
            annotation, info = _field(item, hints[item.name], required=item.name in required)
            fields[names.get(item.name, item.name)] = (annotation, info)
    fields |= {key: (annotation, info) for key, annotation, info in extra}
    return create_model(name, __base__=Body, **fields)


def _field(item: dataclasses.Field[Any], hint: Any, *, required: bool) -> tuple[Any, Any]:
    limits = limits_of(item)
    default: Any = item.default
    if item.default_factory is not dataclasses.MISSING:
        default = item.default_factory()
    if required:
        default = ...
    arguments: dict[str, Any] = {"description": limits.help}
    if limits.ge is not None:
        arguments["ge"] = limits.ge
    if limits.le is not None:
        arguments["le"] = limits.le
    if limits.picture:
        return _picture(hint, limits, default, arguments)
    if limits.max_length is not None:
        arguments["max_length"] = limits.max_length
    if item.name == "seed":
        number = Annotated[int, Field(ge=arguments.pop("ge"), le=arguments.pop("le"))]
        shown = number | Literal["random"] | None
        return Annotated[number, BeforeValidator(_seed, json_schema_input_type=shown)], Field(default, **arguments)
    if hint is Sampler:
        return Annotated[Sampler, BeforeValidator(_sampler)], Field(default, **arguments)
    if hint is Scheduler:
        return Annotated[Scheduler, BeforeValidator(_scheduler)], Field(default, **arguments)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return Annotated[hint, BeforeValidator(functools.partial(_choice, hint))], Field(default, **arguments)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        nested = body_model(hint.__name__, typing.cast("type", hint))
        return nested, Field(default_factory=nested, description=limits.help)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            inner = body_model(inner.__name__, typing.cast("type", inner), required=frozenset({"name"}))
        return list[inner], Field(default_factory=list if default == () else lambda: list(default), **arguments)  # type: ignore[valid-type]
    return hint, Field(default, **arguments)


def _picture(hint: Any, limits: Limits, default: Any, arguments: dict[str, Any]) -> tuple[Any, Any]:
    arguments["description"] += (
        " Base64, a data: URL, an http(s) URL, or job:<id>/<file>. job:<id>/<number> is a picture of a job by its number, from 0:"
        " where that job has not made it yet, this one waits for it."
    )
    if typing.get_origin(hint) is tuple:
        return list[str], Field(
            default_factory=list, max_length=limits.max_length, description=arguments["description"]
        )
    return str, Field(default, max_length=_MAX_PICTURE_CHARACTERS, description=arguments["description"])
