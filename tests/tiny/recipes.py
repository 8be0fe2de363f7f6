"""How each tiny model is loaded and what it is asked to paint: the calls that were seen to work.

A recipe names, for fields of ``sd_ctx_params_t``, the tiny model whose file goes there, and, for fields of
``sd_img_gen_params_t`` and its parts, the values that differ from the library's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to use tiny models."""

    files: Mapping[str, str]
    """Field of ``sd_ctx_params_t`` → name of a tiny model."""
    decode_only: bool = True
    """``vae_decode_only``: False where an encoder exists and a picture goes in."""
    steps: int = 4
    cfg_scale: float = 1.0
    pictures: frozenset[str] = frozenset()
    """Pictures given in: ``init``, ``mask``, ``ref``, ``control``, ``id``."""
    loras: tuple[str, ...] = ()
    """Names of tiny LoRA files, each applied with multiplier 1."""
    embeddings: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Textual inversion: trigger word → name of a tiny embedding."""
    prompt: str = "a red circle on white"
    video_frames: int = 0
    """Frames to ask of ``generate_video``; 0: a picture through ``generate_image``."""
    heavy: bool = False
    """More than 3 s or more than 1 GB: left to the nightly run."""


RECIPES: dict[str, Recipe] = {
    "ernie": Recipe({"model_path": "ernie"}),
}
