"""Which ESRGAN model enlarges a picture, and how large the result may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sdrest.core.errors import FieldProblem, InvalidInput, ModelNotFound
from sdrest.core.model import UPSCALER_TYPES, Model
from sdrest.registry.registry import Registry

#: Largest enlarged picture, in pixels.
_MOST_PIXELS: Final = 64 * 1024 * 1024
#: Largest picture on the way there: the model is repeated until it passes the target.
_MOST_INTERMEDIATE_PIXELS: Final = 256 * 1024 * 1024


def find_upscaler(registry: Registry, name: str, *, field: str = "upscale_model") -> Model:
    """The ESRGAN model that ``name`` means; the only one there is when it is empty.

    Raises:
        InvalidInput: there is none of that name, it cannot be used, or several would do; names ``field``.
    """
    if name:
        try:
            found = registry.catalogue.resolve(name, UPSCALER_TYPES)
        except (ModelNotFound, InvalidInput) as error:
            raise InvalidInput(error.message, field=field) from None
    else:
        known = [model for model in registry.catalogue.of_type(UPSCALER_TYPES) if model.usable]
        if len(known) != 1:
            names = ", ".join(model.name for model in known[:10])
            raise InvalidInput(f"name one of: {names}" if known else "no upscaler is registered", field=field)
        found = known[0]
    broken = next((problem.message for problem in found.problems if problem.fatal), None)
    if broken:
        raise InvalidInput(f"{found.name}: {broken}", field=field)
    return found


def enlargement_problems(model: Model, width: int, height: int, factor: float) -> Iterator[FieldProblem]:
    """Why a picture cannot be enlarged ``factor`` times with ``model``."""
    scale = model.traits.get("scale", 1)
    if scale < 2 and factor > 1:
        yield FieldProblem("upscale_factor", f"{model.name} does not enlarge pictures")
        return
    reached = 1
    while reached < factor:
        reached *= scale
    pixels = width * height
    if pixels * factor**2 > _MOST_PIXELS or pixels * reached**2 > _MOST_INTERMEDIATE_PIXELS:
        yield FieldProblem("upscale_factor", f"{width}×{height} enlarged {factor:g} times is too large")
