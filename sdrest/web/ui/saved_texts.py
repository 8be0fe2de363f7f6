"""Prompt templates and presets that lie in the model folders.

A template file is a ``.txt`` (the file is one template) or a ``.json`` (a list of texts, or texts by name). A preset maps
parameter names to values, as JSON or YAML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from sdrest.core.model import Model, ModelType
from sdrest.core.parameters import MAX_PROMPT_CHARACTERS
from sdrest.registry.catalogue import Catalogue
from sdrest.web.ui.fields import Option, texts_of

#: More would make a picker that nobody reads.
_LISTED: Final = 200
_MAX_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Saved:
    """What can be put into the form: texts for the two prompts, and presets by model id."""

    prompts: tuple[Option, ...]
    negative_prompts: tuple[Option, ...]
    presets: tuple[Option, ...]


def read_saved(catalogue: Catalogue) -> Saved:
    """All templates and presets; files that cannot be read are left out."""
    return Saved(
        prompts=_texts(catalogue, ModelType.PROMPTS),
        negative_prompts=_texts(catalogue, ModelType.NEG_PROMPTS),
        presets=tuple(Option(item.id, item.name) for item in catalogue.of_type(ModelType.PRESETS)[:_LISTED]),
    )


def preset_texts(preset: Model) -> dict[str, str]:
    """Form texts by dotted name; empty for a file that holds no mapping."""
    value = _load(preset.path)
    return texts_of(value) if isinstance(value, dict) else {}


def _texts(catalogue: Catalogue, wanted: ModelType) -> tuple[Option, ...]:
    found = [option for item in catalogue.of_type(wanted)[:_LISTED] for option in _options(item)]
    return tuple(found[:_LISTED])


def _options(item: Model) -> Iterator[Option]:
    value = _load(item.path)
    if isinstance(value, str):
        yield Option(value.strip(), item.name)
    elif isinstance(value, list):
        yield from (Option(text.strip(), text.strip()[:60]) for text in value if isinstance(text, str))
    elif isinstance(value, dict):
        yield from (Option(text.strip(), str(name)) for name, text in value.items() if isinstance(text, str))


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        text = path.read_text(encoding="utf-8")
        match path.suffix.lower():
            case ".json":
                return json.loads(text)
            case ".yaml" | ".yml":
                return yaml.safe_load(text)
            case _:
                return text[:MAX_PROMPT_CHARACTERS]
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
