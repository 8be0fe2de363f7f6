"""The first minute: what the built-in model can draw, samples of it to click, and real models to get."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from sdrest.core.errors import NotFound
from sdrest.registry.builtin import EMBEDDED_NAME, builtin_words
from sdrest.web.http.keys import MODEL_SETS, MODELS
from sdrest.web.ui.rendering import page
from sdrest.web.ui.workbench_contexts import DemoWordsPage, Sample, StarterModel

#: Drawn by the built-in model itself, seed 7.
SAMPLES: Final = (
    Sample("a cat on a blue background", "sample-cat.webp"),
    Sample("a rocket on a black background", "sample-rocket.webp"),
    Sample("a red apple", "sample-apple.webp"),
    Sample("a sunflower on a cyan background", "sample-sunflower.webp"),
    Sample("a robot on a yellow background", "sample-robot.webp"),
    Sample("a pizza on a white background", "sample-pizza.webp"),
    Sample("an owl on a purple background", "sample-owl.webp"),
    Sample("a sailboat on an orange background", "sample-sailboat.webp"),
)


#: Model sets to begin with, of which one file holds nearly all; the rest of the catalogue is in the form below the cards.
_STARTERS: Final = ("sd15", "sd-turbo", "sdxl", "sdxl-turbo")


def samples_for(model_name: str) -> Sequence[Sample]:
    """What to try with a model; nothing unless it is the built-in one."""
    return SAMPLES if model_name == EMBEDDED_NAME else ()


def demo_things(model_name: str) -> int:
    """How many things the built-in model draws; 0 for any other."""
    return len(builtin_words()["things"]) if model_name == EMBEDDED_NAME else 0


async def starters(request: web.Request) -> tuple[StarterModel, ...]:
    """Model sets to begin with, of those that are not here yet, as the catalogue has them."""
    sets = request.app[MODEL_SETS]
    found, _ = await sets.all(fetch=False)
    by_name = {item.name: item for item in found}
    memory = sets.memory_bytes()

    def cards() -> tuple[StarterModel, ...]:
        chosen = ((item, item.choose(memory)[0]) for name in _STARTERS if (item := by_name.get(name)) is not None)
        return tuple(
            StarterModel(
                set_name=item.name,
                title=item.title,
                about=f"{item.about}; {item.defaults['width']} px" if "width" in item.defaults else item.about,
                licence=item.licence,
                size_bytes=choice.size_bytes,
                memory_bytes=choice.memory_bytes,
                fits=choice.memory_bytes is None or choice.memory_bytes <= memory,
            )
            for item, choice in chosen
            if not sets.has(choice)
        )

    return await asyncio.to_thread(cards)


async def show_words(request: web.Request) -> web.Response:
    """Everything that the built-in model understands, each thing a link that fills the form."""
    if request.app[MODELS].catalogue.find(EMBEDDED_NAME) is None:
        raise NotFound("the built-in model is not here")
    kinds = {kind: words for kind, words in builtin_words().items() if kind not in {"words", "synonyms"} and words}
    return page(request, "demo_words.html", DemoWordsPage(kinds=kinds))
