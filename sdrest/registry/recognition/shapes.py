"""Shapes and layers that an architecture must have; without them the native library ends the process or refuses the
file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sdrest.core.architecture import Architecture, Family
from sdrest.core.model import Problem
from sdrest.registry.recognition.versions import Names, ne

_FLUX_LIKE = frozenset({Family.FLUX, Family.CHROMA, Family.OVIS_IMAGE, Family.FLUX2})
_UNETS = frozenset({Family.SD1, Family.SD2, Family.SDXL})
_UNET_WIDTH = 320
#: Series of layers, by their words in tensor names.
_SERIES = ("double_blocks", "single_blocks", "joint_blocks", "transformer_blocks", "blocks", "layers")
_NUMBERED = re.compile(r"^model\.diffusion_model\.(?:net\.)?(" + "|".join(_SERIES) + r")\.(\d{1,4})\.")
#: Model widths that the library fixes for Wan's variants (``WanRunner``).
_WAN_WIDTHS = {30: (1536, 3072), 40: (5120,)}


def check_shapes(names: Names, architecture: Architecture) -> Iterator[Problem]:
    """What is wrong with a diffusion model's layers, whose ``names`` carry the library's prefix."""
    if architecture.family in _FLUX_LIKE:
        yield from _check_flux(names)
    if architecture.family in _UNETS:
        yield from _check_unet(names)
    if architecture.family is Family.WAN:
        yield from _check_wan(names)
    yield from _check_series(names)


def _check_flux(names: Names) -> Iterator[Problem]:
    norm = names.find("double_blocks.0.txt_attn.norm.key_norm.scale") or names.find(
        "single_blocks.0.norm.key_norm.scale"
    )
    head = ne(norm, 0) if norm else 0
    if norm is None and names.has("transformer_blocks."):
        return
    hidden = ne(names.find("txt_in.weight"), 1)
    if not head:
        yield Problem("key_norm", "the attention's key_norm is missing; the library divides by its width")
    elif hidden > 1 and hidden % head:
        yield Problem("head_width", f"heads of {head} do not divide the hidden width of {hidden}")


def _check_unet(names: Names) -> Iterator[Problem]:
    first = names.find("model.diffusion_model.input_blocks.0.0.weight")
    if first is not None and first[0] != _UNET_WIDTH:
        yield Problem("unet_width", f"the U-Net is {first[0]} wide; the library builds it {_UNET_WIDTH} wide")


def _check_wan(names: Names) -> Iterator[Problem]:
    layers = names.count_blocks("model.blocks.")
    width = ne(names.find("model.diffusion_model.blocks.0.cross_attn.norm_k.weight"), 0)
    allowed = _WAN_WIDTHS.get(layers)
    if allowed is not None and width not in allowed:
        yield Problem(
            "wan_width",
            f"{layers} layers of width {width}; the library builds them {' or '.join(map(str, allowed))} wide",
        )


def _check_series(names: Names) -> Iterator[Problem]:
    """Layers are counted by their highest number, so one that is missing in between fails only while loading."""
    found: dict[str, set[int]] = {}
    for name in names.shapes:
        match = _NUMBERED.match(name)
        if match:
            found.setdefault(match[1], set()).add(int(match[2]))
    for series, numbers in found.items():
        absent = sorted(set(range(max(numbers))) - numbers)
        if absent:
            yield Problem("missing_layer", f"{series}.{absent[0]} is missing, though there are later ones")
