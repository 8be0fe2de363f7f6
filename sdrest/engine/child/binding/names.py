"""The library's enumerations by name, asked from the library itself."""

from __future__ import annotations

import re
from typing import Final

from sdrest.engine.child.binding.foreign import Foreign

#: ``enum sd_cache_mode_t``; the library exports no function that names them.
_CACHE_MODES: Final = ("disabled", "easycache", "ucache", "dbcache", "taylorseer", "cache-dit", "spectrum")


class Names:
    """Name → number of each enumeration; the order is the library's."""

    def __init__(self, foreign: Foreign) -> None:
        sd = foreign.sd
        self.samplers = _table(foreign, "sample_method", sd.SampleMethod.SAMPLE_METHOD_COUNT)
        self.schedulers = _table(foreign, "scheduler", sd.Scheduler.SCHEDULER_COUNT)
        self.types = _table(foreign, "type", sd.GGMLType.SD_TYPE_COUNT)
        self.rngs = _table(foreign, "rng_type", sd.RNGType.RNG_TYPE_COUNT)
        self.predictions = _table(foreign, "prediction", sd.Prediction.PREDICTION_COUNT)
        self.previews = _table(foreign, "preview", sd.Preview.PREVIEW_COUNT)
        self.lora_apply_modes = _table(foreign, "lora_apply_mode", sd.LoraApplyMode.LORA_APPLY_MODE_COUNT)
        self.hires_upscalers = _table(foreign, "hires_upscaler", sd.SDHiresUpscaler.SD_HIRES_UPSCALER_COUNT)
        self.cache_modes = {name: number for number, name in enumerate(_CACHE_MODES)}


def number_of(table: dict[str, int], name: str, what: str) -> int:
    """The number of ``name``. Raises ValueError listing the known names."""
    try:
        return table[name]
    except KeyError:
        raise ValueError(f"{what} {name!r} is not known to the library; known: {', '.join(table)}") from None


def _table(foreign: Foreign, kind: str, count: int) -> dict[str, int]:
    name_of = getattr(foreign.lib, f"sd_{kind}_name")
    found = {}
    for number in range(count):
        name = name_of(number)
        if name and name != b"NONE":
            found[_word(name.decode())] = number
    return found


def _word(name: str) -> str:
    """``Latent (nearest-exact)`` → ``latent_nearest_exact``; the other enumerations have plain names already."""
    return re.sub(r"\W+", "_", name.lower()).strip("_") if name[:1].isupper() else name
