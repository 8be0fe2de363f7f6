"""What ``speed`` means for a model: how far steps may be guessed from those before, by the method that is for its architecture.

The methods are the library's (``cache-mode`` of its command line; which is for what: its ``docs/caching.md``).
``docs/performance.md`` says what was measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final, TypeVar

from sdrest.core.architecture import UNET_FAMILIES
from sdrest.core.model import Model
from sdrest.core.names import CacheMode, Speed
from sdrest.core.parameters import Cache, GenerationParameters

P = TypeVar("P", bound=GenerationParameters)

#: The library's own thresholds: no trained U-Net was at hand to measure others.
_UNET: Final[Mapping[Speed, Cache]] = {
    Speed.BALANCED: Cache(mode=CacheMode.UCACHE),
    Speed.FAST: Cache(mode=CacheMode.SPECTRUM),
}
_TRANSFORMER: Final[Mapping[Speed, Cache]] = {
    Speed.BALANCED: Cache(mode=CacheMode.EASYCACHE, reuse_threshold=0.1),
    Speed.FAST: Cache(mode=CacheMode.EASYCACHE, reuse_threshold=0.2),
}


def with_speed(parameters: P, model: Model) -> P:
    """The parameters with the step cache that their speed means, unless they name one themselves."""
    if parameters.speed is Speed.EXACT or parameters.cache.mode is not CacheMode.DISABLED:
        return parameters
    family = model.architecture.family if model.architecture else None
    caches = _UNET if family in UNET_FAMILIES else _TRANSFORMER
    return dataclasses.replace(parameters, cache=caches[parameters.speed])
