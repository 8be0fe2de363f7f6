"""What a model's pictures need of this machine's memory at three sizes: its own, a smaller and a larger one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sdrest.core.model import Model
from sdrest.core.parameters import GenerationParameters
from sdrest.planning.context_specs import ContextBuilder
from sdrest.planning.memory import MemoryPlanner
from sdrest.registry.defaults import defaults_of

#: Sides of the three sizes, as shares of the model's own.
_SHARES: Final = (0.75, 1.0, 1.5)
#: Buffers depend on the prompt's length in steps (see :mod:`sdrest.planning.memory`): what pictures have taught counts here, too.
_PROMPT: Final = "a photograph of a red apple on a wooden table"


class Verdict(StrEnum):
    """Whether a picture can be made in the memory that there is."""

    FITS = "fits"
    #: With the weights kept in the machine's memory, and brought to the device part by part (``offload_weights``).
    OFFLOAD = "fits_with_offload"
    TOO_LARGE = "does_not_fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeMemory:
    """The memory of one picture of a size, in bytes; ``compute`` is 0 while it was not measured, ``total`` then a lower bound."""

    width: int
    height: int
    weights: int
    compute: int
    total: int
    verdict: Verdict


def typical(width: int, height: int) -> GenerationParameters:
    """A picture of that size as most are asked for, with a prompt of some words."""
    return GenerationParameters(prompt=_PROMPT, width=width, height=height)


class SizePlanner:
    """Tells what sizes need.

    Args:
        contexts: Plans contexts as the jobs' are.
        memory: Knows the budget, and what was measured.
    """

    def __init__(self, contexts: ContextBuilder, memory: MemoryPlanner) -> None:
        self._contexts = contexts
        self._memory = memory

    def budget(self) -> int:
        """Bytes that a model and its work may take."""
        return self._memory.budget()

    def sizes(self, model: Model) -> tuple[tuple[int, int], ...]:
        """The three sizes, in steps that the architecture takes."""
        defaults = defaults_of(model)

        def side(px: int, share: float) -> int:
            return max(1, round(px * share / defaults.multiple)) * defaults.multiple

        found = ((side(defaults.width, share), side(defaults.height, share)) for share in _SHARES)
        return tuple(dict.fromkeys(found))

    def of(self, model: Model) -> tuple[SizeMemory, ...]:
        """What each size needs. Reads headers, so not on the event loop.

        Raises:
            ModelUnusable: required parts are missing.
        """
        return tuple(self._of(model))

    def _of(self, model: Model) -> Iterator[SizeMemory]:
        for width, height in self.sizes(model):
            parameters = typical(width, height)
            plan = self._contexts.plan(model, parameters)
            whole = self._memory.estimate(plan, parameters, offload=False)
            verdict = Verdict.FITS
            if not whole.fits:
                offloaded = self._memory.estimate(plan, parameters, offload=True)
                verdict = Verdict.OFFLOAD if offloaded.fits else Verdict.TOO_LARGE
            yield SizeMemory(
                width=width,
                height=height,
                weights=whole.weights,
                compute=whole.compute,
                total=whole.total,
                verdict=verdict,
            )
