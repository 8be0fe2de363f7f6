"""What a model's page tells beside its file (use, disk, memory, speed, pictures, notes), and the forms there."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sdrest.core.model import MAIN_TYPES, TEXT_TYPES, Model, ModelType
from sdrest.core.principal import Permission
from sdrest.planning.checks import VIDEO_FAMILIES
from sdrest.registry.builtin import EMBEDDED_NAME
from sdrest.registry.own_notes import may_write_beside
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.keys import MODELS, PRINCIPAL
from sdrest.web.requests.model_care import queue_measuring, show_with, write_notes_on
from sdrest.web.requests.model_facts import model_facts
from sdrest.web.requests.submission import submitted
from sdrest.web.ui.first_steps import SAMPLES
from sdrest.web.ui.job_cards import picture_of
from sdrest.web.ui.model_page_contexts import About
from sdrest.web.ui.model_tools import named_model
from sdrest.web.ui.rendering import see
from sdrest.web.ui.tabs import TABS

#: Pictures of the model that are offered to show it with.
_OFFERED: Final = 8
#: Types that a comparison is offered with.
COMPARED_TYPES: Final = ("q8_0", "q4_k")
_PROMPT: Final = "a red apple on a wooden table, soft light"


async def about(request: web.Request, model: Model) -> About:
    """What is known of a model beside its file, for this caller."""
    found, principal = await model_facts(request, model), request[PRINCIPAL]
    writes = may_write_beside(request.app[MODELS].folders, model)
    can_manage = principal.may(Permission.MANAGE_MODELS)
    return About(
        facts=found,
        pictures=tuple(picture_of(job, output) for job, output in found.pictures[:_OFFERED]),
        can_write=can_manage and writes and not model.type & TEXT_TYPES,
        can_paint=paints(model) and principal.may(Permission.GENERATE),
        is_builtin=not writes and not model.lender,
        can_measure=can_manage and bool(found.memory),
        offered=tuple(
            kind for kind in COMPARED_TYPES if kind not in {_type_of(item) for item in (model, *found.variants)}
        ),
        sample_prompt=prompt_for(model),
        try_prompt=_try_prompt(model),
    )


def _type_of(model: Model) -> str:
    return model.quantization.value if model.quantization else ""


def paints(model: Model) -> bool:
    """Whether a model makes single pictures of a text."""
    architecture = model.architecture
    return (
        bool(model.type & MAIN_TYPES)
        and model.usable
        and (architecture is not None and architecture.family not in VIDEO_FAMILIES)
    )


def prompt_for(model: Model) -> str:
    """What a model is tried with: its trigger words, and something to see."""
    prompt = SAMPLES[0].prompt if model.name == EMBEDDED_NAME else _PROMPT
    return ", ".join((*model.trigger_words[:3], prompt))


def _try_prompt(model: Model) -> str:
    """What the Generate page's prompt is filled with to use this file; empty where there is nothing to fill in."""
    words = ", ".join(model.trigger_words)
    if model.type is ModelType.LORA:
        return " ".join(filter(None, (words, f"<lora:{model.name}:1>")))
    return model.name if model.type is ModelType.EMBEDDING else words


@requires(Permission.MANAGE_MODELS)
async def write_notes(request: web.Request) -> web.StreamResponse:
    """Write notes on a model."""
    model = named_model(request)
    await write_notes_on(request, model, str((await read_parts(request)).get("notes", "")))
    return see(request, f"/ui/models/{model.id}#notes")


@requires(Permission.MANAGE_MODELS)
async def choose_preview(request: web.Request) -> web.StreamResponse:
    """Show a model with one of its pictures."""
    model = named_model(request)
    await show_with(request, model, str((await read_parts(request)).get("source", "")))
    return see(request, f"/ui/models/{model.id}#sample")


async def make_sample(request: web.Request) -> web.StreamResponse:
    """Queue a picture by a model, with its own defaults."""
    model = named_model(request)
    prompt = str((await read_parts(request)).get("prompt", "")).strip() or prompt_for(model)
    job = await submitted(request, TABS["txt2img"].asks, {"prompt": prompt, "model": model.id})
    return see(request, f"/ui/jobs/{job.id}")


@requires(Permission.MANAGE_MODELS)
async def measure(request: web.Request) -> web.StreamResponse:
    """Queue the measuring of what a model's pictures take of the memory."""
    job = await queue_measuring(request, named_model(request))
    return see(request, f"/ui/jobs/{job.id}")
