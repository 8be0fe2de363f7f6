"""The library's enumerations by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdrest.engine.child.binding.abi import Abi


class Names:
    """Name → number of each enumeration; the order is the library's."""

    def __init__(self, abi: Abi) -> None:
        self.samplers = _table(abi.enums["sample_method"])
        self.schedulers = _table(abi.enums["scheduler"])
        self.types = _table(abi.enums["type"])
        self.rngs = _table(abi.enums["rng_type"])
        self.predictions = _table(abi.enums["prediction"])
        self.previews = _table(abi.enums["preview"])
        self.lora_apply_modes = _table(abi.enums["lora_apply_mode"])
        self.hires_upscalers = _table(abi.enums["hires_upscaler"])
        self.cache_modes = _table(abi.cache_modes)


def number_of(table: dict[str, int], name: str, what: str) -> int:
    """The number of ``name``. Raises ValueError listing the known names."""
    try:
        return table[name]
    except KeyError:
        raise ValueError(f"{what} {name!r} is not known to the library; known: {', '.join(table)}") from None


def _table(names: Sequence[str]) -> dict[str, int]:
    return {_word(name): number for number, name in enumerate(names) if name}


def _word(name: str) -> str:
    """``Latent (nearest-exact)`` → ``latent_nearest_exact``; the other enumerations have plain names already."""
    return re.sub(r"\W+", "_", name.lower()).strip("_") if name[:1].isupper() else name
