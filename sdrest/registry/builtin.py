"""The model that comes with sdrest, so that the first picture needs no download."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from sdrest.core.installed import PACKAGE
from sdrest.core.model import Model
from sdrest.registry.folders import FOLDER_KINDS
from sdrest.registry.recognition.inspect import inspect_model

EMBEDDED_NAME: Final = "demo"


def builtin_models() -> tuple[Model, ...]:
    """The models in ``sdrest/assets``, the default one first."""
    checkpoints = next(kind for kind in FOLDER_KINDS if kind.key == "checkpoints")
    path = PACKAGE / "assets" / f"{EMBEDDED_NAME}.gguf"
    beside = frozenset(item.name for item in path.parent.iterdir())
    return (inspect_model(path, checkpoints, path.name, path.stat(), beside),)


@cache
def builtin_words() -> dict[str, Any]:
    """What the embedded model understands, from ``assets/demo-words.json``, which its training wrote (``tools/demo_model``).

    ``words`` are all single words with a meaning in lower case, ``synonyms`` maps those that stand for another one, the
    rest lists phrases by kind.
    """
    found: dict[str, Any] = json.loads((PACKAGE / "assets" / f"{EMBEDDED_NAME}-words.json").read_text("utf-8"))
    return found
