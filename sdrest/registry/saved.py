"""The presets and prompt templates that are registered, by name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

from sdrest.core.errors import InvalidInput, ModelNotFound, SdrestError, did_you_mean
from sdrest.core.model import Model, ModelType
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.presets import Preset, Template, read_preset, read_templates

#: Most names that an error tells.
_NAMED: Final = 30


def find_preset(catalogue: Catalogue, name: str) -> Preset:
    """The preset that ``name`` means. Reads its file.

    Raises:
        InvalidInput: there is none (field ``preset``); tells those that exist.
        ModelUnusable: its file cannot be read.
    """
    try:
        return read_preset(catalogue.resolve(name, ModelType.PRESETS).path)
    except ModelNotFound:
        known = (item.name for item in catalogue.of_type(ModelType.PRESETS))
        raise InvalidInput(_unknown("preset", name, known), field="preset") from None


def find_template(catalogue: Catalogue, name: str, *, negative: bool = False) -> Template:
    """The prompt template that ``name`` means: a file's name, or ``file/name`` within a file of several. Reads files.

    Args:
        catalogue: All models.
        name: As a request has it.
        negative: Look among the negative prompts.

    Raises:
        InvalidInput: there is none (field ``prompt_template`` or ``negative_prompt_template``); tells those that exist.
        ModelUnusable: its file cannot be read.
    """
    kind = ModelType.NEG_PROMPTS if negative else ModelType.PROMPTS
    for file_name in (name, name.rpartition("/")[0]):
        model = catalogue.find(file_name, kind) if file_name else None
        if model is not None:
            held = {template.name: template for template in _read(model)}
            if len(held) == 1 and file_name == name:
                return next(iter(held.values()))
            inner = f"{model.name}/{name.rpartition('/')[2]}"
            if inner in held:
                return held[inner]
    field = "negative_prompt_template" if negative else "prompt_template"
    known = (template.name for template in templates(catalogue, kind))
    raise InvalidInput(_unknown("prompt template", name, known), field=field)


def templates(catalogue: Catalogue, wanted: ModelType) -> Iterator[Template]:
    """All templates in the files of ``wanted`` types; files that cannot be read are left out."""
    for model in catalogue.of_type(wanted):
        with contextlib.suppress(SdrestError):
            yield from _read(model)


def contents_of(model: Model) -> dict[str, object]:
    """What a preset or a template file holds, by name. Raises :class:`ModelUnusable` when it cannot be read."""
    if model.type is ModelType.PRESETS:
        preset = read_preset(model.path)
        return {**preset.parameters, **({"description": preset.description} if preset.description else {})}
    found: dict[str, object] = {}
    for template in _read(model):
        if template.prompt:
            found[template.name] = template.prompt
        if template.negative_prompt:
            found[f"{template.name} (negative)"] = template.negative_prompt
    return found


def _read(model: Model) -> tuple[Template, ...]:
    return read_templates(model.path, negative=model.type is ModelType.NEG_PROMPTS)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if not names:
        return f"there is no {what} here"
    listed = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
    return f"no {what} is named {name!r}{did_you_mean(name, names)}; there are: {listed}"
