"""What the Generate page offers for the chosen model: main models, and the parts, LoRAs and embeddings that fit it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from sdrest.core.architecture import Family
from sdrest.core.model import Component, Model, ModelType
from sdrest.planning.loras_and_embeddings import AdapterFinder
from sdrest.registry.components import fits
from sdrest.web.http.keys import MODELS
from sdrest.web.ui.fields import Option
from sdrest.web.ui.languages import _
from sdrest.web.ui.tabs import Tab
from sdrest.web.ui.workbench_contexts import LoraChoice, Offers

ADAPTERS: Final = web.AppKey("adapters", AdapterFinder)

#: A picker longer than this is no help; the rest is found on the Models page.
_LISTED: Final = 500


async def offers_for(request: web.Request, model: Model | None) -> Offers:
    """What fits ``model``; for no model only what fits everything. Headers are read on a thread."""
    catalogue = request.app[MODELS].catalogue
    upscalers = {"esrgan": tuple(_option(item) for item in catalogue.of_type(ModelType.ESRGAN)[:_LISTED])}
    if model is None:
        return Offers(parts=upscalers, loras=(), embeddings=())
    finder = request.app[ADAPTERS]
    loras = await asyncio.to_thread(finder.loras_for, model)
    parts = {
        component.model_type.slug if component is not Component.HIGH_NOISE else "diffusion_model": tuple(
            _option(item) for item in catalogue.of_type(component.model_type) if _can_be(component, item, model)
        )[:_LISTED]
        for component in Component
    }
    return Offers(
        parts={**parts, **upscalers},
        loras=tuple(
            LoraChoice(name=lora.name, label=lora.title or lora.name, trigger_words=lora.trigger_words)
            for lora in loras[:_LISTED]
        ),
        embeddings=tuple(sorted(finder.embeddings_for(model)))[:_LISTED],
    )


def fitting_models(tab: Tab, models: Sequence[Model]) -> Sequence[Model]:
    """The models that can do what the tab does; all of them when none can, so that the refusal can say why."""
    if not tab.families:
        return models
    found = [model for model in models if model.architecture and model.architecture.family in tab.families]
    return found or models


def grouped_models(models: Sequence[Model]) -> tuple[tuple[str, tuple[Option, ...]], ...]:
    """Models by architecture, for the picker."""
    groups: dict[str, list[Option]] = {}
    names = Counter(model.name for model in models)
    for model in models[:_LISTED]:
        value = model.name if names[model.name] == 1 else model.relative_path
        label = model.architecture.label if model.architecture else _("Other")
        groups.setdefault(label, []).append(Option(value, value))
    return tuple((label, tuple(options)) for label, options in sorted(groups.items()))


def _can_be(component: Component, candidate: Model, model: Model) -> bool:
    if component is Component.PHOTOMAKER and (
        model.architecture is None or model.architecture.family is not Family.SDXL
    ):
        return False
    return fits(component, candidate, model)


def _option(model: Model) -> Option:
    return Option(model.name, model.title or model.name)
