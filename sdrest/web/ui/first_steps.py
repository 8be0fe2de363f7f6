"""The first minute: what the built-in model can draw, samples of it to click, and real models to get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psutil
from aiohttp import web

from sdrest.core.errors import NotFound
from sdrest.registry.builtin import EMBEDDED_NAME, builtin_words
from sdrest.web.http.keys import MODELS
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


@dataclass(frozen=True, slots=True)
class _Starter:
    name: str
    about: str
    source: str
    size_bytes: int


#: Each is one file that holds all of its parts.
_STARTERS: Final = (
    _Starter(
        "Stable Diffusion 1.5",
        "Small and quick, with more LoRAs than any other; 512 px",
        "hf:stable-diffusion-v1-5/stable-diffusion-v1-5/v1-5-pruned-emaonly.safetensors",
        4_265_146_304,
    ),
    _Starter(
        "SD-Turbo", "One to four steps a picture; 512 px", "hf:stabilityai/sd-turbo/sd_turbo.safetensors", 5_214_561_904
    ),
    _Starter(
        "SDXL 1.0",
        "Finer and larger; 1024 px",
        "hf:stabilityai/stable-diffusion-xl-base-1.0/sd_xl_base_1.0.safetensors",
        6_938_078_334,
    ),
    _Starter(
        "SDXL-Turbo",
        "One to four steps a picture; 512 px",
        "hf:stabilityai/sdxl-turbo/sd_xl_turbo_1.0_fp16.safetensors",
        6_938_081_905,
    ),
)
#: What a model needs beside its weights, about.
_BESIDE_BYTES: Final = 1_500_000_000


def samples_for(model_name: str) -> Sequence[Sample]:
    """What to try with a model; nothing unless it is the built-in one."""
    return SAMPLES if model_name == EMBEDDED_NAME else ()


def demo_things(model_name: str) -> int:
    """How many things the built-in model draws; 0 for any other."""
    return len(builtin_words()["things"]) if model_name == EMBEDDED_NAME else 0


def starters(request: web.Request) -> tuple[StarterModel, ...]:
    """Real models to get, of those that are not here yet."""
    here = {model.file_name for model in request.app[MODELS].catalogue.models}
    memory = psutil.virtual_memory().total
    return tuple(
        StarterModel(
            name=item.name,
            about=item.about,
            source=item.source,
            size_bytes=item.size_bytes,
            memory_bytes=item.size_bytes + _BESIDE_BYTES,
            fits=item.size_bytes + _BESIDE_BYTES < memory,
        )
        for item in _STARTERS
        if item.source.rpartition("/")[2] not in here
    )


async def show_words(request: web.Request) -> web.Response:
    """Everything that the built-in model understands, each thing a link that fills the form."""
    if request.app[MODELS].catalogue.find(EMBEDDED_NAME) is None:
        raise NotFound("the built-in model is not here")
    kinds = {kind: words for kind, words in builtin_words().items() if kind not in {"words", "synonyms"} and words}
    return page(request, "demo_words.html", DemoWordsPage(kinds=kinds))
