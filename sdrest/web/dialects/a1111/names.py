"""What A1111's clients call upscalers, and what the files are called that they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sdrest.core.model import Model

#: Names in A1111's lists, and the file names (squeezed) by which the models are handed around.
_FILES: Final = {
    "R-ESRGAN 4x+": ("realesrganx4plus", "4xrealesrganplus", "resrgan4x"),
    "R-ESRGAN 4x+ Anime6B": ("realesrganx4plusanime6b", "realesrganx4plusanime", "resrgan4xanime6b"),
    "R-ESRGAN 2x+": ("realesrganx2plus", "resrgan2x"),
    "R-ESRGAN General 4xV3": ("realesrgeneralx4v3",),
    "R-ESRGAN General WDN 4xV3": ("realesrgeneralwdnx4v3",),
    "R-ESRGAN AnimeVideo": ("realesranimevideov3",),
    "ESRGAN_4x": ("esrgan4x", "esrganx4", "rrdbesrganx4", "esrgan", "esrganrrdbsrx4"),
    "BSRGAN": ("bsrgan", "bsrganx4"),
}
_LABELS: Final = {file: label for label, files in _FILES.items() for file in files}


def upscaler_label(model: Model) -> str:
    """The name under which A1111's clients know an upscaler; its own, where they know none."""
    return _LABELS.get(_squeezed(model.name), model.name)


def upscaler_named(name: str, models: Iterable[Model]) -> str:
    """The name of the model that a client means by ``name``; ``name`` itself where it is nobody's label."""
    folded = name.casefold()
    return next((model.name for model in models if upscaler_label(model).casefold() == folded), name)


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
