"""The size of a picture that is made from another one: when the request names none, the other's decides."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from PIL import Image

from sdrest.core.parameters import MAX_SIDE_PX, GenerationParameters
from sdrest.registry.defaults import Defaults

#: Sizes taken over from pictures stay within this many times the area that the architecture is made for.
_MOST_AREAS: Final = 4
#: The picture that decides, in this order.
_DECIDING: Final = ("init_image", "control_image", "ref_images", "control_frames")

P = TypeVar("P", bound=GenerationParameters)


def with_picture_size(
    parameters: P, given: frozenset[str], pictures: Mapping[str, Sequence[Image.Image]], defaults: Defaults
) -> tuple[P, tuple[str, ...]]:
    """``parameters`` with width and height from the first input picture, where the request left them open; and warnings.

    One side alone given keeps the picture's proportions. Sizes are rounded to the architecture's multiple.
    """
    picture = next((pictures[name][0] for name in _DECIDING if pictures.get(name)), None)
    if picture is None or {"width", "height"} <= given:
        return parameters, ()
    frame = parameters.outpaint
    extra_width, extra_height = frame.left + frame.right, frame.top + frame.bottom
    width, height = float(picture.width), float(picture.height)
    if "width" in given:
        height *= max(1, parameters.width - extra_width) / width
        width = parameters.width - extra_width
    elif "height" in given:
        width *= max(1, parameters.height - extra_height) / height
        height = parameters.height - extra_height
    width, height = max(1.0, width) + extra_width, max(1.0, height) + extra_height
    most = _MOST_AREAS * defaults.width * defaults.height
    shrink = 1.0
    if not given & {"width", "height"}:
        shrink = min(1.0, math.sqrt(most / (width * height)), MAX_SIDE_PX / max(width, height))
    result = tuple(_rounded(side * shrink, defaults.multiple) for side in (width, height))
    warnings: tuple[str, ...] = ()
    if shrink < 1:
        warnings = (
            f"the picture is large; the result is {result[0]}×{result[1]}, give width and height for another size",
        )
    chosen_width = parameters.width if "width" in given else result[0]
    chosen_height = parameters.height if "height" in given else result[1]
    return dataclasses.replace(parameters, width=chosen_width, height=chosen_height), warnings


def _rounded(side: float, multiple: int) -> int:
    least = -(-16 // multiple) * multiple
    most = MAX_SIDE_PX // multiple * multiple
    return min(most, max(least, round(side / multiple) * multiple))
