"""What can be done with a model's file: checking, hashing and converting it.

Without JavaScript every form ends in a redirect to the model's page, whose address then says what to show: ``?checked=1``
the verdict, ``?quantization_type=…`` the conversion form as it was sent, with its preview or what is wrong with it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.conversion.plan import Plan
from sdrest.core.errors import FieldProblem, Forbidden, InvalidInput, ModelNotFound, NotFound, SdrestError
from sdrest.core.job import JobType
from sdrest.core.model import MAIN_TYPES, TEXT_TYPES, Model, ModelType
from sdrest.core.principal import Permission
from sdrest.core.tensor_types import WRITABLE, TensorType
from sdrest.registry.registry import Registry
from sdrest.registry.validate import validate
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import INTAKE, MODELS, PRINCIPAL, WORKERS
from sdrest.web.requests.load_tests import may_test_loading, queue_load_test
from sdrest.web.ui.fields import Field, Kind, Option
from sdrest.web.ui.forms import field_errors
from sdrest.web.ui.languages import _
from sdrest.web.ui.model_page_contexts import ConversionPreview, ConvertForm, ModelTools
from sdrest.web.ui.rendering import is_htmx, part, see
from sdrest.work.model_files import folder_of, plan_conversion

_TYPE, _OUTPUT, _RULES, _VAE, _BEST, _OVERWRITE = "quantization_type", "output", "rules", "vae", "best", "overwrite"
#: A picker longer than this is no help.
_LISTED_VAES: Final = 200


def _all_fields() -> tuple[Field, ...]:
    return (
        Field(
            name=_TYPE,
            label=_("Type"),
            help=_("Fewer bits make a smaller file and a less exact model; q8_0 is hardly told from the original."),
            kind=Kind.CHOICE,
            value=TensorType.Q8_0.value,
            default=TensorType.Q8_0.value,
            options=tuple(Option(kind.value, kind.value) for kind in WRITABLE),
        ),
        Field(
            name=_OUTPUT,
            label=_("File name"),
            help=_("Ends in .gguf or .safetensors; empty: the model's name with the type."),
            kind=Kind.LINE,
            max_length=200,
        ),
        Field(
            name=_RULES,
            label=_("Other types for some tensors"),
            help=_(r"PATTERN=TYPE, separated by commas: ^vae\.=f16,norm=f32. The first that fits counts."),
            kind=Kind.LINE,
            max_length=1000,
        ),
        Field(
            name=_VAE,
            label=_("VAE to put in"),
            help=_("Instead of the one that the model may hold."),
            kind=Kind.CHOICE,
            options=(Option("", _("The model's own")),),
        ),
        Field(
            name=_BEST,
            label=_("Search for the best scales"),
            help=_("As the library's own converter does: a little more exact, much slower."),
            kind=Kind.SWITCH,
            value="off",
            default="off",
        ),
        Field(
            name=_OVERWRITE,
            label=_("Replace a file of this name"),
            help=_("Otherwise that is a mistake."),
            kind=Kind.SWITCH,
            value="off",
            default="off",
        ),
    )


def _fields(registry: Registry, model: Model) -> tuple[Field, ...]:
    """The form's fields for a model; a VAE can be put into main models only."""
    found = registry.catalogue.of_type(ModelType.VAE)[:_LISTED_VAES] if model.type & MAIN_TYPES else ()
    vaes = tuple(Option(item.id, item.name) for item in found)
    return tuple(
        dataclasses.replace(field, options=field.options + vaes) if field.name == _VAE else field
        for field in _all_fields()
        if vaes or field.name != _VAE
    )


def named_model(request: web.Request) -> Model:
    """The model in the address. Raises ModelNotFound."""
    model = request.app[MODELS].catalogue.get(request.match_info["model_id"])
    if model is None:
        raise ModelNotFound("this model is not in the model folders (any more)")
    return model


async def tools_of(request: web.Request, model: Model) -> ModelTools:
    """The tools of a model as the address asks for them."""
    app, may = request.app, request[PRINCIPAL].may(Permission.MANAGE_MODELS)
    types = {job_type for worker in app[WORKERS] for job_type in worker.types}
    convertible = model.usable and not model.type & TEXT_TYPES
    texts = _texts(request) if _TYPE in request.query else None
    return ModelTools(
        verdict=await asyncio.to_thread(validate, app[MODELS], model) if "checked" in request.query else None,
        can_validate=request[PRINCIPAL].may(Permission.GENERATE),
        can_hash=may and JobType.HASH in types,
        can_test_loading=may and bool(model.type & MAIN_TYPES) and JobType.LOAD_TEST in types,
        convert=(await _form(app[MODELS], model, texts))[0]
        if may and convertible and JobType.CONVERT in types
        else None,
    )


async def validate_model(request: web.Request) -> web.StreamResponse:
    """Check a model's file and parts without loading it, then queue a trial of loading it if that is asked for."""
    model = named_model(request)
    wants_test = (await read_parts(request)).get("load_test") == "on"
    if wants_test:
        may_test_loading(request, model)
    verdict = await asyncio.to_thread(validate, request.app[MODELS], model)
    job = await queue_load_test(request, model) if wants_test and verdict.compatible else None
    if is_htmx(request):
        return part(request, "parts/model_verdict.html", verdict=verdict, test_job=job)
    return see(request, f"/ui/jobs/{job.id}" if job else f"/ui/models/{model.id}?checked=1#verdict")


@requires(Permission.MANAGE_MODELS)
async def hash_model(request: web.Request) -> web.StreamResponse:
    """Queue the hashing of a model whose hash is not known."""
    model = named_model(request)
    if model.sha256 is not None:
        return see(request, f"/ui/models/{model.id}")
    job = await request.app[INTAKE].submit_task(
        JobType.HASH, {"models": [model.id]}, request[PRINCIPAL], model_name=model.name
    )
    return see(request, f"/ui/jobs/{job.id}")


@requires(Permission.MANAGE_MODELS)
async def preview(request: web.Request) -> web.StreamResponse:
    """What the conversion in the query would write, for htmx; otherwise on the model's page."""
    model = named_model(request)
    if not is_htmx(request):
        return see(request, _form_address(model, _texts(request)))
    form, status = await _form(request.app[MODELS], model, _texts(request))
    return part(request, "parts/model_plan.html", status=status, form=form, with_errors=True)


@requires(Permission.MANAGE_MODELS)
async def convert(request: web.Request) -> web.StreamResponse:
    """Queue a conversion, or show the form again with what is wrong beside its fields."""
    model = named_model(request)
    texts = {name: value for name, value in (await read_parts(request)).items() if isinstance(value, str)}
    try:
        parameters, _ = await asyncio.to_thread(_plan, request.app[MODELS], model, texts)
    except SdrestError:
        if not is_htmx(request):
            return see(request, _form_address(model, texts))
        form, status = await _form(request.app[MODELS], model, texts)
        return part(request, "parts/model_plan.html", status=status, form=form, with_errors=True)
    job = await request.app[INTAKE].submit_task(JobType.CONVERT, parameters, request[PRINCIPAL], model_name=model.name)
    return see(request, f"/ui/jobs/{job.id}")


def _texts(request: web.Request) -> dict[str, str]:
    """The query; of a switch, which is there twice when it is on, the second."""
    return dict(request.query.items())


def _form_address(model: Model, texts: Mapping[str, str]) -> str:
    # One character more than is taken, so that a text that is too long is still told to be so.
    kept = {field.name: texts.get(field.name, "")[: (field.max_length or 50) + 1] for field in _all_fields()}
    return f"/ui/models/{model.id}?{urlencode(kept)}#convert"


async def _form(registry: Registry, model: Model, texts: Mapping[str, str] | None) -> tuple[ConvertForm, int]:
    """The form with ``texts`` in it, and the status of the error in it; without texts as it is at first."""
    shown = _fields(registry, model)
    if texts is None:
        return ConvertForm(fields=shown, preview=None, errors=()), 200
    found, errors, rest, status = None, dict[str, str](), tuple[str, ...](), 200
    try:
        found = await asyncio.to_thread(_preview, registry, model, texts)
    except SdrestError as error:
        errors, rest = _errors(error)
        status = status_of(error)
    fields = tuple(
        dataclasses.replace(field, value=texts.get(field.name, field.default), error=errors.get(field.name, ""))
        for field in shown
    )
    return ConvertForm(fields=fields, preview=found, errors=rest), status


def _plan(registry: Registry, model: Model, texts: Mapping[str, str]) -> tuple[dict[str, Any], Plan]:
    """Raises what :func:`sdrest.work.model_files.plan_conversion` raises."""
    problems = [
        FieldProblem(field.name, f"at most {field.max_length} characters")
        for field in _all_fields()
        if field.max_length is not None and len(texts.get(field.name, "")) > field.max_length
    ]
    if problems:
        raise InvalidInput(problems)
    name = texts.get(_OUTPUT, "").strip()
    output: Path | None = folder_of(registry, model) / name if name else None
    return plan_conversion(
        registry,
        model,
        texts.get(_TYPE, ""),
        output,
        texts.get(_RULES, ""),
        vae=texts.get(_VAE, ""),
        best=texts.get(_BEST) == "on",
        overwrite=texts.get(_OVERWRITE) == "on",
    )


def _preview(registry: Registry, model: Model, texts: Mapping[str, str]) -> ConversionPreview:
    _, plan = _plan(registry, model, texts)
    target = plan.request.target
    return ConversionPreview(
        name=target.name,
        size=plan.nbytes,
        source_size=model.size,
        free_space=shutil.disk_usage(target.parent).free,
        types=tuple((kind.value, count) for kind, count in plan.types().items()),
        total=len(plan.tensors),
        notes=plan.notes,
    )


def _errors(error: SdrestError) -> tuple[dict[str, str], tuple[str, ...]]:
    """What an error says about fields by name, and what is left."""
    match error:
        case InvalidInput():
            return field_errors(error, (field.name for field in _all_fields()))
        case Forbidden():
            return {_OUTPUT: error.message}, ()
        case NotFound() if error.details.get("field") == _OUTPUT:
            return {_OUTPUT: error.message}, ()
        case _:
            return {}, (error.message,)
