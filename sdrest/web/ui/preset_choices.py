"""Presets and prompt templates as the Generate page lists them and fills its form with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sdrest.core.model import ModelType
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.presets import find_preset, templates
from sdrest.web.requests.presets import parameters_of
from sdrest.web.ui.fields import Option, field_text, texts_of

#: More would make a picker that nobody reads.
LISTED: Final = 200


@dataclass(frozen=True, slots=True)
class Saved:
    """What can be put into the form: texts for the two prompts, and presets by model id."""

    prompts: tuple[Option, ...]
    negative_prompts: tuple[Option, ...]
    presets: tuple[Option, ...]


def read_saved(catalogue: Catalogue) -> Saved:
    """All templates and presets; files that cannot be read are left out."""
    prompts = tuple(templates(catalogue, ModelType.PROMPTS))
    negative = (*templates(catalogue, ModelType.NEG_PROMPTS), *prompts)
    return Saved(
        prompts=tuple(Option(item.prompt, item.name) for item in prompts if item.prompt)[:LISTED],
        negative_prompts=tuple(Option(t.negative_prompt, t.name) for t in negative if t.negative_prompt)[:LISTED],
        presets=tuple(Option(item.id, item.name) for item in catalogue.of_type(ModelType.PRESETS)[:LISTED]),
    )


def preset_texts(catalogue: Catalogue, name: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Form texts by dotted name, and LoRA rows. Reads the preset's file.

    Raises:
        InvalidInput, ModelUnusable: there is no such preset, or its file is none.
    """
    values = parameters_of(find_preset(catalogue, name))
    return texts_of({key: value for key, value in values.items() if key != "loras"}), list(_lora_rows(values))


def _lora_rows(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    loras = values.get("loras")
    for lora in loras if isinstance(loras, list) else ():
        if isinstance(lora, dict) and "name" in lora:
            yield str(lora["name"]), field_text(lora.get("multiplier", 1))
