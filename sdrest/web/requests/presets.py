"""Presets and prompt templates within request bodies: put under what the request says itself, before anything is checked."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard, TypeVar

from pydantic import Field

from sdrest.core.errors import FieldProblem, InvalidInput, did_you_mean
from sdrest.core.model import Model
from sdrest.core.parameters import UpscaleParameters, VideoParameters, limits_of
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.folders import Folders
from sdrest.registry.presets import Preset, Template, find_preset, find_template
from sdrest.registry.registry import Registry
from sdrest.registry.saved_files import remove
from sdrest.web.http.bodies import Body, validate
from sdrest.web.requests.parameter_bodies import body_model

B = TypeVar("B", bound=Body)

#: Names that some routes have for parameters.
_ALIASES: Final = {"sampling_method": "sampler", "batch_size": "batch_count", "esrgan_model": "upscale_model"}
#: What a preset can hold: everything but pictures.
_HELD: Final = {
    item.name: item
    for table in (UpscaleParameters, VideoParameters)
    for item in dataclasses.fields(table)
    if not limits_of(item).picture
}

PRESET_FIELD: Final = (
    "preset",
    str,
    Field("", max_length=500, description="Name of a preset; the request's own fields go before its parameters."),
)
#: How a request names what is saved, beside the fields of its route.
SAVED_FIELDS: Final = (
    PRESET_FIELD,
    (
        "prompt_template",
        str,
        Field("", max_length=500, description="Name of a prompt template that the prompts are put into."),
    ),
    (
        "negative_prompt_template",
        str,
        Field("", max_length=500, description="Name of a template for the negative prompt."),
    ),
)

_NAMES: Final = frozenset(name for name, _, _ in SAVED_FIELDS)

#: The parameters of a preset, none of them required.
PresetParameters: Final = body_model(
    "PresetParameters",
    VideoParameters,
    only=frozenset(_HELD),
    extra=(("tile_size", int, Field(128, ge=32, le=2048, description="Tile of the upscaling route, in pixels.")),),
)


def names_saved(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether what a client sent names a preset or a template."""
    return isinstance(value, Mapping) and bool(value.keys() & _NAMES)


def with_saved(body: type[B], value: Mapping[str, Any], catalogue: Catalogue, names: Mapping[str, str]) -> B:
    """What a client sent, with its preset and templates in it, validated. Reads files.

    Args:
        body: The route's body, with :data:`SAVED_FIELDS` (or :data:`PRESET_FIELD` alone).
        value: What the client sent.
        catalogue: Where presets and templates are looked for.
        names: The route's names of parameters, by the parameter.

    Raises:
        InvalidInput: all that is wrong; what a preset brought in is said to be so.
        ModelUnusable: the file of a preset or template cannot be read.
    """
    own = frozenset(value)
    merged = dict(value)
    preset_name = _name(value, "preset")
    if preset_name and "preset" in body.model_fields:
        merged = _under(find_preset(catalogue, preset_name), merged, body, names)
    for template in _templates(body, value, catalogue):
        for field, put in (("prompt", template.around), ("negative_prompt", template.around_negative)):
            text = merged.get(field, "")
            if isinstance(text, str) and (around := put(text)) != text:
                merged[field] = around
    try:
        return validate(body, merged)
    except InvalidInput as error:
        raise InvalidInput(
            dataclasses.replace(problem, message=f"{problem.message} (from the preset {preset_name!r})")
            if problem.field.partition(".")[0] in merged.keys() - own and preset_name
            else problem
            for problem in error.problems
        ) from None


async def saved_as_model(registry: Registry, save: Callable[[Folders], Path]) -> Model:
    """Save a preset or template with ``save``, and find it as it is listed then."""

    def work() -> Model:
        path = save(registry.folders)
        registry.refresh()
        return registry.catalogue.resolve(str(path))

    return await asyncio.to_thread(work)


async def forget_saved(registry: Registry, name: str) -> None:
    """Delete a preset or template, so that it is listed no more."""

    def work() -> None:
        remove(registry.folders, registry.catalogue.resolve(name))
        registry.refresh()

    await asyncio.to_thread(work)


def canonical(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters under their own names, whatever a route calls them."""
    return {_ALIASES.get(name, name): value for name, value in parameters.items()}


def parameters_of(preset: Preset) -> dict[str, Any]:
    """A preset's parameters under their own names.

    Raises:
        InvalidInput: one is none that a preset can hold (field ``preset``).
    """
    found = canonical(preset.parameters)
    problems = [
        FieldProblem(
            "preset", f"the preset {preset.name!r} holds {name!r}, which is no parameter{did_you_mean(name, _HELD)}"
        )
        for name in found
        if name not in _HELD
    ]
    if problems:
        raise InvalidInput(problems)
    return found


def _under(preset: Preset, request: dict[str, Any], body: type[Body], names: Mapping[str, str]) -> dict[str, Any]:
    """The preset's parameters as far as the route takes them, with the request's fields over them."""
    renamed = {names.get(name, name): value for name, value in parameters_of(preset).items()}
    taken = {name: value for name, value in renamed.items() if name in body.model_fields}
    return dataclasses.replace(preset, parameters=taken).under(request)


def _templates(body: type[Body], value: Mapping[str, object], catalogue: Catalogue) -> Iterator[Template]:
    for field in ("prompt_template", "negative_prompt_template"):
        name = _name(value, field)
        if name and field in body.model_fields:
            yield find_template(catalogue, name, negative=field.startswith("negative"))


def _name(value: Mapping[str, object], field: str) -> str:
    name = value.get(field)
    return name.strip() if isinstance(name, str) else ""
