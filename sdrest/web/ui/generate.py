"""The Generate page: its tabs, its form, and jobs submitted from it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import web

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput, NotFound, SdrestError
from sdrest.core.job import Job, JobState
from sdrest.core.model import MAIN_TYPES, Model, ModelType, parse_model_types
from sdrest.core.names import PreviewMode
from sdrest.core.parameters import GenerationParameters
from sdrest.core.principal import Permission
from sdrest.jobs.store import JobFilter
from sdrest.jobs.submission import Submission
from sdrest.outputs.infotext import parse_infotext
from sdrest.registry.defaults import defaults_of
from sdrest.registry.loading import missing_components
from sdrest.web.http.bodies import read_bytes
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import DEFAULT_MODEL, JOBS, MODELS, PRINCIPAL, WORKERS
from sdrest.web.requests.engine_views import engine_problem
from sdrest.web.requests.submission import Pictures, stored, submission
from sdrest.web.ui.fields import Field, Kind, Option, field_text, form_fields, texts_of
from sdrest.web.ui.forms import Posted, body_values, field_errors, read_form, read_form_pictures
from sdrest.web.ui.infotext_form import form_texts_of_infotext
from sdrest.web.ui.job_cards import card_of, picture_of, recent_pictures
from sdrest.web.ui.page_contexts import FieldGroup, GeneratePage, JobCard, LoraChoice, ModelNote, Picture
from sdrest.web.ui.preset_choices import preset_texts, read_saved
from sdrest.web.ui.rendering import is_htmx, page, part
from sdrest.web.ui.tabs import TABS, Tab

_RECENT: Final = 12
#: A picker longer than this is no help; the rest is found on the Models page.
_LISTED_MODELS: Final = 500
#: What the page asks for beyond a program's wishes: somebody is watching.
_PAGE_DEFAULTS: Final = {"preview": str(PreviewMode.PROJ)}
#: Hidden field: the model with whose defaults the form was drawn.
_MODEL_FIELD: Final = "drawn_for"


async def show(request: web.Request) -> web.Response:
    """A tab of the Generate page; ``?job=<id>`` fills it with a job's parameters, ``?from=<id>/<file>`` sends it a picture."""
    tab = _tab(request)
    texts, lora_rows = await _reused(request)
    if request.query.get("model"):
        texts["model"] = request.query["model"]
    references = {}
    source = request.query.get("from", "")
    if source and tab.pictures:
        references[tab.pictures[0]] = await _picture(request, source)
    context = await _page(request, tab, texts, lora_rows=lora_rows, references=references)
    return page(request, "generate.html", context)


async def submit(request: web.Request) -> web.StreamResponse:
    """Queue what the form asks for; a form with mistakes comes back with each one beside its field."""
    tab = _tab(request)
    posted = await read_form(request)
    try:
        job = await stored(request, tab.asks, await _asked(request, tab, posted))
    except SdrestError as error:
        return await _refused(request, tab, posted, error)
    if is_htmx(request):
        return part(request, "parts/job_card.html", card=await card_of(request, job))
    return web.Response(status=303, headers={"Location": f"/ui/jobs/{job.id}"})


async def recent(request: web.Request) -> web.Response:
    """The strip of the newest pictures."""
    return part(request, "parts/recent.html", recent=await recent_pictures(request, _RECENT))


async def model_note(request: web.Request) -> web.Response:
    """What there is to know about the model that was just picked."""
    note = await _note(request, request.query.get("model", ""))
    return part(request, "parts/model_note.html", note=note)


async def read_picture_parameters(request: web.Request) -> web.Response:
    """The form texts that the parameters within an infotext stand for, as JSON."""
    text = (await read_bytes(request, most=bounds.INFOTEXT)).decode(errors="replace")
    values = await asyncio.to_thread(lambda: form_texts_of_infotext(parse_infotext(text)))
    return web.json_response(values, dumps=lambda value: msgspec.json.encode(value).decode())


def available_tabs(app: web.Application) -> tuple[Tab, ...]:
    """The tabs whose jobs this server carries out."""
    types = {job_type for worker in app[WORKERS] for job_type in worker.types}
    return tuple(tab for tab in TABS.values() if tab.job_type in types)


def _tab(request: web.Request) -> Tab:
    slug = request.match_info.get("mode", "txt2img")
    tab = next((tab for tab in available_tabs(request.app) if tab.slug == slug), None)
    if tab is None:
        raise NotFound(f"there is no way to generate called {slug!r}")
    return tab


async def _asked(request: web.Request, tab: Tab, posted: Posted) -> Submission:
    """What a form asks for.

    Raises:
        InvalidInput: everything that is wrong, pictures and values together.
    """
    drawn_for, chosen = posted.texts.get(_MODEL_FIELD, ""), posted.texts.get("model", "")
    stale = (await _note(request, drawn_for)).defaults if tab.has_prompt and drawn_for != chosen else {}
    problems: list[FieldProblem] = []
    pictures: Pictures = {}
    try:
        pictures = await read_form_pictures(request, tab, posted)
    except InvalidInput as error:
        problems.extend(error.problems)
    if "prompt" in tab.required and not posted.texts.get("prompt", "").strip():
        problems.append(FieldProblem("prompt", "say what the picture should show"))
    try:
        asked = await submission(request, tab.asks, body_values(tab, posted, stale), pictures=pictures)
    except InvalidInput as error:
        raise InvalidInput([*problems, *error.problems]) from None
    if problems:
        raise InvalidInput(problems)
    return asked


async def _refused(request: web.Request, tab: Tab, posted: Posted, error: SdrestError) -> web.Response:
    errors, rest = field_errors(error, (*tab.field_names, "loras"))
    status = status_of(error)
    if is_htmx(request):
        response = part(request, "parts/form_errors.html", status=status, errors=errors, rest=rest)
        response.headers["HX-Reswap"] = "none"
        return response
    references = {
        name: await _picture(request, items[0].removeprefix("job:")) for name, items in posted.references.items()
    }
    context = await _page(
        request, tab, posted.texts, lora_rows=posted.lora_rows, references=references, errors=errors, rest=rest
    )
    return page(request, "generate.html", context, status=status)


async def _reused(request: web.Request) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Form texts and LoRA rows of the job named in the query, with the seed of its file when one is named."""
    preset = request.query.get("preset", "")
    if preset:
        return await asyncio.to_thread(preset_texts, request.app[MODELS].catalogue, preset)
    job_id = request.query.get("job", "")
    if not job_id:
        return {}, []
    job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
    texts = texts_of({name: value for name, value in job.parameters.items() if name != "loras"})
    output = next((item for item in job.outputs if item.file == request.query.get("file")), None)
    if output is not None and output.seed is not None:
        texts |= {"seed": str(output.seed), "batch_count": "1"}
    rows = [(str(lora["name"]), f"{lora['multiplier']:g}") for lora in job.parameters.get("loras") or ()]
    return texts, rows


async def _picture(request: web.Request, source: str) -> Picture | None:
    """The output that ``<job id>/<file>`` names, or None."""
    job_id, _, file = source.partition("/")
    try:
        job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
    except NotFound:
        return None
    output = next((item for item in job.outputs if item.file == file), None)
    return picture_of(job, output) if output else None


async def _page(
    request: web.Request,
    tab: Tab,
    texts: Mapping[str, str],
    *,
    lora_rows: Sequence[tuple[str, str]] = (),
    references: Mapping[str, Picture | None] | None = None,
    errors: Mapping[str, str] | None = None,
    rest: tuple[str, ...] = (),
) -> GeneratePage:
    errors = errors or {}
    mains = _fitting(tab, request.app[MODELS].catalogue.of_type(MAIN_TYPES))
    note = await _note(request, texts.get("model", ""))
    if tab.families and mains and note.model not in mains:
        note = await _note(request, mains[0].id)
    fields = form_fields(
        tab.table,
        values=texts,
        defaults={**note.defaults, **_PAGE_DEFAULTS},
        errors=errors,
        model_options=_model_options(request, note.model),
    )
    if "model" in fields:
        chosen = texts.get("model", "") or (note.model.name if note.model else "")
        if tab.families and mains and note.model is not None:
            chosen = note.model.name
        fields["model"] = dataclasses.replace(fields["model"], value=chosen, options=(), kind=Kind.OTHER)
    catalogue = request.app[MODELS].catalogue
    family = note.model.architecture.family if note.model and note.model.architecture else None
    loras = tuple(
        LoraChoice(name=lora.name, label=lora.title or lora.name, trigger_words=lora.trigger_words)
        for lora in catalogue.of_type(ModelType.LORA)[:_LISTED_MODELS]
        if family is None or lora.architecture is None or lora.architecture.family is family
    )
    return GeneratePage(
        tab=tab,
        tabs=available_tabs(request.app),
        fields=fields,
        groups=tuple(_group(group.title, [fields[name] for name in group.fields]) for group in tab.groups),
        note=note,
        models=_main_models(mains),
        loras=loras,
        lora_rows=lora_rows,
        lora_error=errors.get("loras", ""),
        embeddings=tuple(item.name for item in catalogue.of_type(ModelType.EMBEDDING)[:_LISTED_MODELS]),
        saved=await asyncio.to_thread(read_saved, catalogue),
        references=references or {},
        errors=rest,
        is_filled=bool(texts),
        can_save=tab.has_prompt and request[PRINCIPAL].may(Permission.MANAGE_MODELS),
        card=await _latest_card(request),
        recent=await recent_pictures(request, _RECENT),
        engine_problem=engine_problem(request.app),
    )


def _group(title: str, fields: list[Field]) -> FieldGroup:
    shown = tuple(
        field
        for field in fields
        if not (field.model_type and len(field.options) < 2 and not field.value and not field.error)
    )
    changed = sum(field.value != field.default for field in shown)
    return FieldGroup(title, shown, is_open=bool(changed) or any(field.error for field in shown), changed=changed)


async def _latest_card(request: web.Request) -> JobCard | None:
    """The job that the page shows on arrival: the running one, else the newest that came to something."""
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    types = {tab.job_type for tab in available_tabs(request.app)}
    counts = await jobs.store.counts(principal.name)
    for state in (JobState.RUNNING, JobState.PENDING, JobState.COMPLETED):
        if not counts[state]:
            continue
        wanted = JobFilter(states=(state,), types=types, principal=principal.name, limit=1)
        found: Sequence[Job] = await jobs.find(wanted, principal)
        if found:
            return await card_of(request, found[0])
    return None


async def _note(request: web.Request, name: str) -> ModelNote:
    registry = request.app[MODELS]
    try:
        model = (
            registry.catalogue.resolve(name, MAIN_TYPES)
            if name
            else request.app[DEFAULT_MODEL].model(request[PRINCIPAL])
        )
    except SdrestError as error:
        return ModelNote(model=None, problem=error.message, missing=(), defaults={}, multiple=8)
    defaults = defaults_of(model)
    missing = tuple(str(component) for component in missing_components(registry.catalogue, model))
    problem = next((p.message for p in model.problems if p.fatal), "")
    texts = {key: field_text(value) for key, value in defaults.parameters().items()}
    return ModelNote(model=model, problem=problem, missing=missing, defaults=texts, multiple=defaults.multiple)


def _fitting(tab: Tab, models: Sequence[Model]) -> Sequence[Model]:
    """The models that can do what the tab does; all of them when none can, so that the refusal can say why."""
    if not tab.families:
        return models
    found = [model for model in models if model.architecture and model.architecture.family in tab.families]
    return found or models


def _main_models(models: Sequence[Model]) -> tuple[tuple[str, tuple[Option, ...]], ...]:
    """Models by architecture, for the picker."""
    groups: dict[str, list[Option]] = {}
    names = Counter(model.name for model in models)
    for model in models[:_LISTED_MODELS]:
        value = model.name if names[model.name] == 1 else model.relative_path
        label = model.architecture.label if model.architecture else "Other"
        quantization = f" · {model.quantization.name.lower()}" if model.quantization else ""
        groups.setdefault(label, []).append(Option(value, f"{model.title or model.name}{quantization}"))
    return tuple((label, tuple(options)) for label, options in sorted(groups.items()))


def _model_options(request: web.Request, model: Model | None) -> dict[str, tuple[Option, ...]]:
    """Choices for component pickers by kind of model; only those that can fit the main model are listed."""
    registry = request.app[MODELS]
    fitting: dict[str, tuple[Option, ...]] = {}
    kinds = {
        item.metadata["limits"].model_type
        for item in dataclasses.fields(GenerationParameters)
        if item.metadata["limits"].model_type
    }
    for kind in kinds:
        wanted = parse_model_types(kind)
        if wanted is not None:
            fitting[kind] = tuple(
                Option(item.name, item.title or item.name)
                for item in registry.catalogue.of_type(wanted)[:_LISTED_MODELS]
            )
    if model is not None:
        for state in registry.components(model):
            kind = state.requirement.component.model_type.slug
            if kind in fitting and state.candidates:
                fitting[kind] = tuple(Option(item.name, item.title or item.name) for item in state.candidates)
    return fitting
