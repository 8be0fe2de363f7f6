"""A model beside itself in another quantisation: converted if need be, then one prompt and seed painted by both.

The page's address says how far that has come: ``?type=q8_0`` (or ``?with=`` a model that is here), then ``&left=`` and ``&right=``
with the two jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.errors import InvalidInput, ModelNotFound, SdrestError
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter
from sdrest.registry.defaults import defaults_of
from sdrest.registry.variants import variants_of
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.keys import INTAKE, JOBS, MODELS, PRINCIPAL, WORKERS
from sdrest.web.requests.submission import submitted
from sdrest.web.ui.job_cards import card_of
from sdrest.web.ui.model_about import COMPARED_TYPES, paints, prompt_for
from sdrest.web.ui.model_page_contexts import ModelComparePage
from sdrest.web.ui.model_tools import named_model
from sdrest.web.ui.rendering import page, see
from sdrest.web.ui.tabs import TABS
from sdrest.work.model_files import folder_of, plan_conversion

_SEED: Final = "42"
_LONGEST: Final = 2000


async def show(request: web.Request) -> web.Response:
    """How far the comparison has come."""
    model, query = _painting(request), request.query
    wanted = query.get("type", "")
    other, conversion = _other(request, model), None
    if other is None and wanted:
        conversion = await _conversion(request, model, wanted)
        if conversion is not None and conversion.state is JobState.COMPLETED:
            conversion = None  # its file has been taken away since
    left, right = await _job(request, "left"), await _job(request, "right")
    return page(
        request,
        "model_compare.html",
        ModelComparePage(
            model=model,
            other=other,
            wanted=wanted,
            offered=COMPARED_TYPES,
            variants=variants_of(request.app[MODELS].catalogue, model),
            conversion=await card_of(request, conversion) if conversion else None,
            can_convert=_can_convert(request),
            left=await card_of(request, left) if left else None,
            right=await card_of(request, right) if right else None,
            prompt=str(left.parameters.get("prompt", "")) if left else prompt_for(model),
            seed=str(left.parameters.get("seed", _SEED)) if left else _SEED,
            here=address(model, **({"with": other.id} if other else {"type": wanted})),
        ),
    )


@requires(Permission.MANAGE_MODELS)
async def convert(request: web.Request) -> web.StreamResponse:
    """Queue the conversion that the comparison needs, unless its result is here or on its way."""
    model = _painting(request)
    wanted = str((await read_parts(request)).get("type", ""))
    running = await _conversion(request, model, wanted)
    is_here = _converted(request, model, wanted) is not None
    if not is_here and (running is None or running.is_finished):
        parameters, _ = await asyncio.to_thread(plan_conversion, request.app[MODELS], model, wanted, None, "")
        await request.app[INTAKE].submit_task(JobType.CONVERT, parameters, request[PRINCIPAL], model_name=model.name)
    return see(request, address(model, type=wanted))


async def paint(request: web.Request) -> web.StreamResponse:
    """Queue the same picture by both models."""
    model = _painting(request)
    posted = {name: text for name, text in (await read_parts(request)).items() if isinstance(text, str)}
    catalogue = request.app[MODELS].catalogue
    other = catalogue.resolve(posted.get("other", ""), MAIN_TYPES)
    seed = posted.get("seed", "").strip() or _SEED
    if not (seed.isascii() and seed.isdecimal() and len(seed) <= 10):
        raise InvalidInput("must be a whole number from 0 to 4294967295", field="seed")
    # A converted file may lack what lies beside the other one: everything is the same, not only the prompt.
    asked = {
        **defaults_of(model).parameters(),
        "prompt": posted.get("prompt", "").strip()[:_LONGEST],
        "seed": int(seed),
    }
    mode = TABS["txt2img"].asks
    left = await submitted(request, mode, {**asked, "model": model.id})
    try:
        right = await submitted(request, mode, {**asked, "model": other.id})
    except SdrestError:
        with contextlib.suppress(SdrestError):  # it may have ended meanwhile
            await request.app[JOBS].cancel(left.id, request[PRINCIPAL])
        raise
    return see(request, address(model, **{"with": other.id, "left": left.id, "right": right.id}))


def address(model: Model, **query: str) -> str:
    """Where a model is compared."""
    return f"/ui/models/{model.id}/compare?{urlencode(query)}"


def _painting(request: web.Request) -> Model:
    model = named_model(request)
    if not paints(model):
        raise InvalidInput(f"{model.name} makes no pictures that could be compared", field="model")
    return model


def _can_convert(request: web.Request) -> bool:
    types = {job_type for worker in request.app[WORKERS] for job_type in worker.types}
    return request[PRINCIPAL].may(Permission.MANAGE_MODELS) and JobType.CONVERT in types


def _other(request: web.Request, model: Model) -> Model | None:
    """The model to compare with, where it is here.

    Raises:
        ModelNotFound: the address names one that is not.
    """
    named, wanted = request.query.get("with", ""), request.query.get("type", "")
    if named:
        found = request.app[MODELS].catalogue.get(named)
        if found is None:
            raise ModelNotFound("the model to compare with is not in the model folders (any more)")
        return found
    return _converted(request, model, wanted) if wanted else None


def _converted(request: web.Request, model: Model, wanted: str) -> Model | None:
    """The result of converting a model to a type, where it is here and usable: what a conversion would have written, or another."""
    registry = request.app[MODELS]
    target = folder_of(registry, model) / f"{model.name}-{wanted}.gguf"
    variants = variants_of(registry.catalogue, model)
    found = [item for item in variants if item.path == target]
    others = [item for item in variants if item.quantization is not None and item.quantization.value == wanted]
    return next(iter((*found, *others)), None)


async def _conversion(request: web.Request, model: Model, wanted: str) -> Job | None:
    """The newest conversion of a model to that type that this caller sees."""
    found = await request.app[JOBS].find(JobFilter(types=(JobType.CONVERT,), limit=50), request[PRINCIPAL])
    return next(
        (job for job in found if job.parameters.get("model") == model.id and job.parameters.get("type") == wanted), None
    )


async def _job(request: web.Request, name: str) -> Job | None:
    job_id = request.query.get(name, "")
    return await request.app[JOBS].get(job_id, request[PRINCIPAL]) if job_id else None
