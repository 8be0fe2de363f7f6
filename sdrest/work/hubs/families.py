"""Which architecture hubs mean by their words for it: CivitAI's ``baseModel``, names and ``base_model`` tags on Hugging Face."""

from __future__ import annotations

import re
from typing import Final

from sdrest.core.architecture import Family

#: Words, without spaces and punctuation, in the order in which they are looked for; None: models that the library does not run
#: and whose names hold a later word.
_WORDS: Final[tuple[tuple[str, Family | None], ...]] = (
    ("ponyv7", None),
    ("sdxlturbo", Family.SDXL),
    ("sdxl", Family.SDXL),
    ("stablediffusionxl", Family.SDXL),
    ("pony", Family.SDXL),
    ("illustrious", Family.SDXL),
    ("noobai", Family.SDXL),
    ("sd35", Family.SD3),
    ("sd3", Family.SD3),
    ("stablediffusion3", Family.SD3),
    ("sd14", Family.SD1),
    ("sd15", Family.SD1),
    ("sdv1", Family.SD1),
    ("stablediffusionv1", Family.SD1),
    ("stablediffusion15", Family.SD1),
    ("sd20", Family.SD2),
    ("sd21", Family.SD2),
    ("sdturbo", Family.SD2),
    ("stablediffusion2", Family.SD2),
    ("stablevideodiffusion", Family.SVD),
    ("svd", Family.SVD),
    ("flux2", Family.FLUX2),
    ("flux1", Family.FLUX),
    ("chroma", Family.CHROMA),
    ("qwenimage", Family.QWEN_IMAGE),
    ("zimage", Family.Z_IMAGE),
    ("wanvideo", Family.WAN),
    ("wan21", Family.WAN),
    ("wan22", Family.WAN),
    ("ovisimage", Family.OVIS_IMAGE),
    ("ernieimage", Family.ERNIE_IMAGE),
    ("anima", Family.ANIMA),
)
#: Words that are parts of other words.
_ALONE: Final = frozenset({"anima", "chroma"})
#: Names that mean one only when nothing else is there.
_WHOLE: Final = {"qwen": Family.QWEN_IMAGE, "flux": Family.FLUX}


def family_of(*texts: str) -> Family | None:
    """The family that the first telling text means; None where none does."""
    for text in texts:
        plain = re.sub(r"[^a-z0-9]", "", text.lower())
        if plain in _WHOLE:
            return _WHOLE[plain]
        for word, family in _WORDS:
            # "Animagine" is no Anima, nor is "chromatic" Chroma.
            if word in plain and (word not in _ALONE or re.search(rf"\b{word}(?![a-z])", text.lower())):
                return family
    return None
