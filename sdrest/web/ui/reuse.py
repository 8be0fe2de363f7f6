"""What fills the Generate form when a link asks for it: a job's parameters and pictures, a preset, or a finished picture."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from sdrest.core import bounds
from sdrest.core.errors import NotFound
from sdrest.core.job import Job, number_of, numbered
from sdrest.core.model import MAIN_TYPES
from sdrest.jobs.chains import Chains
from sdrest.outputs.infotext import parse_infotext
from sdrest.web.http.keys import JOBS, MODELS, PRINCIPAL
from sdrest.web.requests.infotexts import form_texts_of_infotext
from sdrest.web.requests.pictures import INPUT_PREFIX
from sdrest.web.ui.fields import texts_of
from sdrest.web.ui.job_cards import input_picture, picture_of, promised_picture, tab_slug_of
from sdrest.web.ui.job_contexts import Picture
from sdrest.web.ui.preset_choices import preset_texts
from sdrest.web.ui.tabs import Tab

_OVERRIDES: Final = ("model", "seed", "batch_count", "prompt", "strength")


@dataclass(slots=True)
class Filling:
    """Form texts by dotted name, LoRA rows as (name, weight), and pictures by field."""

    texts: dict[str, str] = field(default_factory=dict)
    lora_rows: list[tuple[str, str]] = field(default_factory=list)
    references: dict[str, tuple[Picture, ...]] = field(default_factory=dict)
    #: The output whose parameters these are: ``<job id>/<number>``; empty where there is none, or it is a picture of the form.
    varied_from: str = ""


async def filling(request: web.Request, tab: Tab) -> Filling:
    """What the address asks for.

    ``?job=<id>`` stands for the job's parameters, with ``&file=`` for the seed of that file; where the tab is the job's own, its
    input pictures come along. ``?from=<id>/<file>`` gives the tab its first picture; ``?preset=`` is what it says,
    ``?infotext=`` is the parameters that A1111 and sdrest write into pictures, and
    ``?model=``, ``?seed=``, ``?batch_count=`` and ``?prompt=`` win over all others.

    Raises:
        NotFound: there is no such job.
        InvalidInput, ModelUnusable: there is no such preset, or its file is none.
    """
    query, found = request.query, Filling()
    if query.get("preset"):
        found.texts, found.lora_rows = await asyncio.to_thread(
            preset_texts, request.app[MODELS].catalogue, query["preset"]
        )
    elif query.get("infotext"):
        read = form_texts_of_infotext(parse_infotext(query["infotext"][: bounds.INFOTEXT]))
        found.texts, found.lora_rows = read.texts, read.loras
    elif query.get("job"):
        job = await request.app[JOBS].get(query["job"], request[PRINCIPAL])
        found = _of_job(request, tab, job)
        if job.outputs and not query.get("from"):
            found.varied_from = f"{job.id}/{number_of(query.get('file', '')) or number_of(job.outputs[0].file)}"
    found.texts |= {name: query[name] for name in _OVERRIDES if query.get(name)}
    if query.get("from") and tab.pictures:
        found.references[tab.pictures[0]] = await pictures_named(request, [query["from"]])
    return found


async def pictures_named(request: web.Request, names: Sequence[str]) -> tuple[Picture, ...]:
    """The outputs ``<job id>/<file>`` and inputs ``<job id>/input/<file>`` that there are, and ``<job id>/<number>``, made or not.

    Raises:
        InvalidInput: that job will make no such picture.
    """
    found: list[Picture] = []
    for name in names:
        job_id, _, file = name.partition("/")
        try:
            job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
        except NotFound:
            continue
        if file.isdecimal() and (output := numbered(job.outputs, int(file))) is not None:
            found.append(picture_of(job, output))
        elif file.isdecimal() and not job.is_finished:
            promise = await Chains(request.app[JOBS].store, request.app[JOBS].files).promise(job, int(file))
            found.append(promised_picture(promise))
        if file.startswith(INPUT_PREFIX):
            found.append(input_picture(job, file.removeprefix(INPUT_PREFIX)))
        found += [picture_of(job, output) for output in job.outputs if file == output.file]
    return tuple(found)


def _of_job(request: web.Request, tab: Tab, job: Job) -> Filling:
    texts = texts_of({name: value for name, value in job.parameters.items() if name != "loras"})
    # What was drawn is drawn again by the same seed, and otherwise by another one.
    texts |= {name: texts[f"{name}_source"] for name in ("prompt", "negative_prompt") if texts.get(f"{name}_source")}
    # A job names its model by id, which a picker does not list.
    model = request.app[MODELS].catalogue.get(job.model_id)
    if model is not None and model.type & MAIN_TYPES:
        texts["model"] = model.name
    output = next((item for item in job.outputs if item.file == request.query.get("file")), None)
    if output is not None and output.seed is not None:
        texts |= {"seed": str(output.seed), "batch_count": "1"}
    rows = [(str(lora["name"]), f"{lora['multiplier']:g}") for lora in job.parameters.get("loras") or ()]
    return Filling(texts, rows, _inputs(tab, job) if tab_slug_of(job) == tab.slug else {})


def _inputs(tab: Tab, job: Job) -> dict[str, tuple[Picture, ...]]:
    return {
        name: tuple(input_picture(job, file) for file in files)
        for name in tab.picture_names
        if (files := _files(job.parameters, name))
    }


def _files(parameters: Mapping[str, Any], name: str) -> list[str]:
    value = parameters.get(name) or []
    return [value] if isinstance(value, str) else list(value)
