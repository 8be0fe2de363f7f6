"""The Generate page: its tabs, its form, and jobs submitted from it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import web

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput, NotFound, SdrestError
from sdrest.core.job import Job, JobState
from sdrest.core.model import MAIN_TYPES, UPSCALER_TYPES, Model
from sdrest.core.names import PreviewMode
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.submission import Submission
from sdrest.outputs.infotext import parse_infotext
from sdrest.outputs.written.reading import read_written
from sdrest.registry.defaults import defaults_of
from sdrest.registry.loading import missing_components
from sdrest.web.http.bodies import read_bytes, read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import DEFAULT_MODEL, EXPANDER, JOBS, MODELS, PRINCIPAL, SETTINGS
from sdrest.web.requests.engine_views import engine_problem
from sdrest.web.requests.gallery import BIN, file_ids
from sdrest.web.requests.infotexts import FormTexts, form_texts_of_infotext
from sdrest.web.requests.submission import Pictures, stored, submission
from sdrest.web.ui.fields import Field, Kind, field_text, form_fields
from sdrest.web.ui.first_steps import demo_things, samples_for
from sdrest.web.ui.forms import Posted, body_values, field_errors, read_form, read_form_pictures
from sdrest.web.ui.job_cards import card_of, film_of
from sdrest.web.ui.job_contexts import JobCard
from sdrest.web.ui.languages import _
from sdrest.web.ui.offers import fitting_models, grouped_models, offers_for
from sdrest.web.ui.preset_choices import read_saved
from sdrest.web.ui.rendering import is_htmx, page, part
from sdrest.web.ui.reuse import Filling, filling, pictures_named
from sdrest.web.ui.tabs import TABS, Group, Tab
from sdrest.web.ui.workbench_contexts import FieldGroup, GeneratePage, ModelNote, Offers

#: What the page asks for beyond a program's wishes: somebody is watching.
_PAGE_DEFAULTS: Final = {"preview": str(PreviewMode.PROJ)}
#: Hidden field: the model with whose defaults the form was drawn.
_MODEL_FIELD: Final = "drawn_for"


async def show(request: web.Request) -> web.Response:
    """A tab of the Generate page; see :func:`sdrest.web.ui.reuse.filling` for what its address can fill it with."""
    tab = _tab(request)
    return page(request, "generate.html", await _page(request, tab, await filling(request, tab)))


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


async def film(request: web.Request) -> web.Response:
    """The strip of the caller's jobs."""
    return part(request, "parts/film.html", film=await film_of(request))


async def delete(request: web.Request) -> web.Response:
    """Put the files of the job on the stage into the bin; the newest one takes its place."""
    undo = await request.app[BIN].throw_away_job(request.match_info["job_id"], request[PRINCIPAL])
    return _stage(request, await _latest_card(request), undo=[f"{item.job_id}/{item.file}" for item in undo])


async def restore(request: web.Request) -> web.Response:
    """Put files of a job back that were deleted on the stage; it is there again."""
    files = file_ids([str(item) for item in (await read_parts(request)).getall("p", [])], field="pictures")
    await request.app[BIN].put_back(files, request[PRINCIPAL])
    job = await request.app[JOBS].get(files[0].job_id, request[PRINCIPAL])
    return _stage(request, await card_of(request, job), undo=())


def _stage(request: web.Request, card: JobCard | None, *, undo: Sequence[str]) -> web.Response:
    response = part(request, "parts/stage.html", card=card, undo=undo)
    response.headers["HX-Trigger"] = "sdrest-jobs"  # the strip is drawn anew
    return response


async def model_note(request: web.Request) -> web.Response:
    """What there is to know about the model that was just picked, and the choices of the form that depend on it."""
    tab, query = _tab(request), request.query
    note = await _note(request, query.get("model", ""))
    offers = await offers_for(request, note.model)
    weights = query.getall("lora_multiplier", [])
    fields = form_fields(tab.table, values=query, defaults=note.defaults, errors={}, model_options=offers.parts)
    return part(
        request,
        "parts/model_choices.html",
        note=note,
        offers=offers,
        lora_rows=[row for row in zip(query.getall("lora_name", []), weights, strict=False) if row[0]],
        fields=[fields[name] for name in tab.field_names if fields[name].model_type],
        has_loras=tab.has_loras,
        saved=await asyncio.to_thread(read_saved, request.app[MODELS].catalogue),
    )


async def read_picture_parameters(request: web.Request) -> web.Response:
    """The form texts and LoRA rows that parameters stand for, as JSON: those within a picture file, or as plain text."""
    is_picture = request.content_type.startswith("image/")
    data = await read_bytes(request, most=None if is_picture else bounds.INFOTEXT)

    def read() -> FormTexts:
        if is_picture:
            return form_texts_of_infotext(read_written(data).parts)
        return form_texts_of_infotext(parse_infotext(data.decode(errors="replace")[: bounds.INFOTEXT]))

    return web.Response(body=msgspec.json.encode(await asyncio.to_thread(read)), content_type="application/json")


def _tab(request: web.Request) -> Tab:
    slug = request.match_info.get("mode", "txt2img")
    tab = TABS.get(slug)
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
        problems.append(FieldProblem("prompt", _("say what the picture should show")))
    try:
        varied_from = await _varied_from(request, posted.texts)
        asked = await submission(
            request, tab.asks, body_values(tab, posted, stale), pictures=pictures, varied_from=varied_from
        )
    except InvalidInput as error:
        raise InvalidInput([*problems, *error.problems]) from None
    if problems:
        raise InvalidInput(problems)
    return asked


async def _varied_from(request: web.Request, texts: Mapping[str, str]) -> str:
    """The output whose parameters filled the form, as long as its prompt is still there: another prompt is another picture."""
    job_id, _, number = texts.get("varied_from", "").partition("/")
    with contextlib.suppress(NotFound):
        job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
        prompt = job.parameters.get("prompt_source") or job.parameters.get("prompt", "")
        if number.isdecimal() and len(number) < 7 and texts.get("prompt", "").strip() == str(prompt).strip():
            return f"{job.id}/{int(number)}"
    return ""


async def _refused(request: web.Request, tab: Tab, posted: Posted, error: SdrestError) -> web.Response:
    errors, rest = field_errors(error, (*tab.field_names, "loras"))
    status = status_of(error)
    if is_htmx(request):
        response = part(request, "parts/form_errors.html", status=status, errors=errors, rest=rest)
        response.headers["HX-Reswap"] = "none"
        return response
    references = {
        name: await pictures_named(request, [item.removeprefix("job:") for item in items])
        for name, items in posted.references.items()
    }
    shown = Filling(posted.texts, posted.lora_rows, references, posted.texts.get("varied_from", ""))
    context = await _page(request, tab, shown, errors=errors, rest=rest)
    return page(request, "generate.html", context, status=status)


async def _page(
    request: web.Request,
    tab: Tab,
    shown: Filling,
    *,
    errors: Mapping[str, str] | None = None,
    rest: tuple[str, ...] = (),
) -> GeneratePage:
    errors, texts = errors or {}, shown.texts
    mains = fitting_models(tab, request.app[MODELS].catalogue.of_type(MAIN_TYPES))
    note = await _note(request, texts.get("model", ""))
    if tab.families and mains and note.model not in mains:
        note = await _note(request, mains[0].id)
    offers = await offers_for(request, note.model)
    fields = form_fields(
        tab.table,
        values=texts,
        defaults={**note.defaults, **_file_defaults(request.app), **_PAGE_DEFAULTS, **tab.defaults},
        errors=errors,
        model_options=offers.parts,
    )
    if "model" in fields:
        chosen = texts.get("model", "") or (note.model.name if note.model else "")
        if tab.families and mains and note.model is not None:
            chosen = note.model.name
        fields["model"] = dataclasses.replace(fields["model"], value=chosen, options=(), kind=Kind.OTHER)
    principal = request[PRINCIPAL]
    return GeneratePage(
        tab=tab,
        tabs=tuple(TABS.values()),
        fields=fields,
        groups=tuple(_group(group, fields) for group in tab.groups),
        note=note,
        models=grouped_models(mains),
        offers=offers,
        lora_rows=shown.lora_rows,
        lora_error=errors.get("loras", ""),
        saved=await asyncio.to_thread(read_saved, request.app[MODELS].catalogue),
        references=shown.references,
        varied_from=shown.varied_from,
        errors=rest,
        is_filled=bool(texts),
        can_save=tab.has_prompt and principal.may(Permission.MANAGE_MODELS),
        can_generate=principal.may(Permission.GENERATE),
        can_expand=principal.may(Permission.GENERATE) and request.app[EXPANDER] is not None,
        lack=_lack(request, tab, offers, mains),
        samples=samples_for(note.model.name) if note.model and tab.slug == "txt2img" else (),
        is_paused=await request.app[JOBS].is_paused(),
        card=await _latest_card(request),
        film=await film_of(request),
        engine_problem=engine_problem(request.app),
    )


def _file_defaults(app: web.Application) -> dict[str, str]:
    """How this server writes pictures where nothing else is said."""
    names = ("output_format", "output_quality")
    return {name: field_text(getattr(app[SETTINGS], name)) for name in names}


def _group(group: Group, fields: Mapping[str, Field]) -> FieldGroup:
    shown = tuple(fields[name] for name in group.fields)
    changed = sum(field.value != field.default for field in shown)
    is_open = bool(changed) or any(field.error for field in shown)
    return FieldGroup(_(group.title), shown, is_open=is_open, changed=changed, needs=fields.get(group.needs))


def _lack(request: web.Request, tab: Tab, offers: Offers, mains: Sequence[Model]) -> str:
    """What the tab cannot do its work without and is not here, in words; empty when nothing is missing."""
    catalogue = request.app[MODELS].catalogue
    if tab.families and not any(m.architecture and m.architecture.family in tab.families for m in mains):
        return _("a video model (Wan or SVD)")
    if tab.slug == "upscale" and not catalogue.of_type(UPSCALER_TYPES):
        return _("an upscaler")
    if tab.slug == "controlnet" and not offers.parts.get("controlnet"):
        return _("a ControlNet for this model")
    return ""


async def _latest_card(request: web.Request) -> JobCard | None:
    """The job that the page shows on arrival: the running one, else the newest that came to something."""
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    types = {tab.job_type for tab in TABS.values()}
    counts = await jobs.store.counts(principal.name)
    for state in (JobState.RUNNING, JobState.PENDING, JobState.COMPLETED):
        if not counts[state]:
            continue
        wanted = JobFilter(states=(state,), types=types, principal=principal.name, kept=True, limit=1)
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
    return ModelNote(
        model=model,
        problem=problem,
        missing=missing,
        defaults=texts,
        multiple=defaults.multiple,
        demo_things=demo_things(model.name),
    )
