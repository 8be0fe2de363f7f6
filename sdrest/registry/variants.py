"""Models that are the same but for their quantisation, told by their names: ``flux1-dev``, ``flux1-dev-Q8_0``."""

from __future__ import annotations

import re
from typing import Final

from sdrest.core.model import MAIN_TYPES, Model
from sdrest.registry.catalogue import Catalogue

_TYPE: Final = re.compile(
    r"[-_.](?:f32|f16|bf16|fp32|fp16|fp8(?:_\w+)?|i?q\d(?:_\w+)?|mxfp4|pruned|ema)$", re.IGNORECASE
)


def base_name(name: str) -> str:
    """A model's name without what tells the types of its tensors, in small letters."""
    while (shorter := _TYPE.sub("", name)) != name:
        name = shorter
    return name.casefold()


def variants_of(catalogue: Catalogue, model: Model) -> tuple[Model, ...]:
    """The other usable models of this one's name and architecture, the largest first."""
    if not model.type & MAIN_TYPES:
        return ()
    base = base_name(model.name)
    found = [
        other
        for other in catalogue.of_type(MAIN_TYPES)
        if other.id != model.id
        and other.usable
        and other.architecture is model.architecture
        and base_name(other.name) == base
    ]
    return tuple(sorted(found, key=lambda other: (-other.size, other.relative_path)))
