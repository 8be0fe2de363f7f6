"""The Models page: what is there, what each model needs, and what can be done with it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.errors import ModelNotFound
from sdrest.core.job import JobType
from sdrest.core.model import MAIN_TYPES, MODEL_TYPES, TEXT_TYPES, Model, Need, parse_model_types
from sdrest.core.principal import Permission
from sdrest.registry.catalogue import Query, SortKey
from sdrest.registry.loading import missing_components
from sdrest.web.http.access import requires
from sdrest.web.http.keys import DEFAULT_MODEL, ENGINES, INTAKE, MODELS, PRINCIPAL, REFRESHER, RESIDENCY, SETTINGS
from sdrest.web.ui.fields import Option
from sdrest.web.ui.filters import count_text, size_text
from sdrest.web.ui.labels import ONE_LABELS, TYPE_LABELS
from sdrest.web.ui.languages import _
from sdrest.web.ui.model_about import about
from sdrest.web.ui.model_page_contexts import AddModels, ComponentRow, ModelPage, ModelsPage
from sdrest.web.ui.model_tools import named_model, tools_of
from sdrest.web.ui.page_contexts import Fact
from sdrest.web.ui.rendering import is_htmx, page, page_number, part, query_number, see
from sdrest.web.ui.transfer_forms import add_models

_PAGE_LENGTH: Final = 50


async def show(request: web.Request) -> web.Response:
    """All models, or for htmx only their list."""
    if is_htmx(request):
        return part(request, "parts/models_list.html", page=_list(request))
    return await show_all(request, await add_models(request))


async def show_all(request: web.Request, add: AddModels, status: int = 200) -> web.Response:
    """The whole page with these forms for adding models."""
    context = _list(request)
    context = dataclasses.replace(context, add=add if context.can_manage else None)
    return page(request, "models.html", context, status=status)


async def show_model(request: web.Request) -> web.Response:
    """One model."""
    context = await _detail(request, named_model(request))
    if is_htmx(request):
        return part(request, "parts/model_detail.html", page=context)
    return page(request, "model.html", context)


@requires(Permission.MANAGE_MODELS)
async def refresh(request: web.Request) -> web.StreamResponse:
    """Look through the model folders again."""
    await request.app[REFRESHER].refresh()
    if is_htmx(request):
        return part(request, "parts/models_list.html", page=_list(request))
    return see(request, "/ui/models")


@requires(Permission.MANAGE_MODELS)
async def load(request: web.Request) -> web.StreamResponse:
    """Queue the loading of a model."""
    model = named_model(request)
    job = await request.app[INTAKE].submit_task(
        JobType.LOAD, {}, request[PRINCIPAL], model_id=model.id, model_name=model.name
    )
    return see(request, f"/ui/jobs/{job.id}")


@requires(Permission.MANAGE_MODELS)
async def unload(request: web.Request) -> web.StreamResponse:
    """Free a model's memory, after the running job."""
    model = named_model(request)
    done = await request.app[RESIDENCY].unload(model)
    return see(request, f"/ui/models/{model.id}?" + urlencode({"before": done.before, "after": done.after}))


async def make_default(request: web.Request) -> web.StreamResponse:
    """Use a model where a request names none."""
    model = named_model(request)
    await request.app[DEFAULT_MODEL].choose(model, request[PRINCIPAL])
    return see(request, f"/ui/models/{model.id}")


def _list(request: web.Request) -> ModelsPage:
    app, query = request.app, request.query
    catalogue = app[MODELS].catalogue
    wanted, search = query.get("type", ""), query.get("search", "").strip()[:200]
    sort = SortKey.NAME
    with contextlib.suppress(ValueError):
        sort = SortKey(query.get("sort", "name"))
    number = page_number(request)
    found = catalogue.search(
        Query(
            type=parse_model_types(wanted) if wanted else None,
            search=search,
            sort_by=sort,
            descending=sort in {SortKey.SIZE, SortKey.DATE},
            page=number,
            limit=_PAGE_LENGTH,
        )
    )
    statistics = catalogue.statistics()
    can_manage = request[PRINCIPAL].may(Permission.MANAGE_MODELS)
    kept = {name: value for name, value in (("type", wanted), ("search", search), ("sort", sort.value)) if value}
    return ModelsPage(
        models=found.models,
        loaded=app[RESIDENCY].model_ids,
        default_id=_default_id(request),
        total=found.total,
        total_size=statistics.total_size,
        types=tuple(
            (item.slug, TYPE_LABELS[item], statistics.by_type[item.slug])
            for item in MODEL_TYPES
            if statistics.by_type.get(item.slug)
        ),
        type=wanted,
        search=search,
        sort=sort.value,
        sorts=(
            Option("name", _("By name")),
            Option("size", _("Largest first")),
            Option("date", _("Newest first")),
            Option("type", _("By type")),
        ),
        page=number,
        pages=found.total_pages,
        here="/ui/models?" + urlencode(kept) + "&",
        folder=str(app[SETTINGS].models_dir),
        skipped=app[MODELS].skipped if can_manage else (),
        can_manage=can_manage,
    )


def _default_id(request: web.Request) -> str:
    with contextlib.suppress(ModelNotFound):
        return request.app[DEFAULT_MODEL].model(request[PRINCIPAL]).id
    return ""


async def _detail(request: web.Request, model: Model) -> ModelPage:
    app = request.app
    registry = app[MODELS]
    is_main = bool(model.type & MAIN_TYPES)
    missing = missing_components(registry.catalogue, model)
    return ModelPage(
        model=model,
        type_label=ONE_LABELS[model.type],
        facts=tuple(_facts(model)),
        tensor_types=tuple(
            sorted(((kind.name.lower(), count, 0) for kind, count in model.types.items()), key=lambda row: -row[1])
        ),
        components=tuple(
            ComponentRow(
                name=str(state.requirement.component),
                required=state.requirement.need is Need.REQUIRED and state.requirement.component in missing,
                reason=_(state.requirement.reason),
                embedded=state.embedded,
                candidates=state.candidates,
            )
            for state in registry.components(model)
        )
        if is_main
        else (),
        is_main=is_main,
        is_text=bool(model.type & TEXT_TYPES),
        is_loaded=model.id in app[RESIDENCY].model_ids,
        is_default=model.id == _default_id(request),
        memory_bytes=app[ENGINES].memory_bytes,
        freed=_freed(request),
        can_manage=request[PRINCIPAL].may(Permission.MANAGE_MODELS),
        tools=await tools_of(request, model),
        about=await about(request, model),
    )


def _freed(request: web.Request) -> str:
    """What unloading has freed, in words, when the page is shown after it."""
    before, after = query_number(request, "before"), query_number(request, "after")
    if before is None or after is None:
        return ""
    return _(
        "Unloaded: the engine went from %(before)s to %(after)s.", before=size_text(before), after=size_text(after)
    )


def _facts(model: Model) -> Iterator[Fact]:
    yield Fact(_("File"), model.relative_path)
    if model.lender:
        yield Fact(_("Read in place from"), str(model.path.parent))
    if model.copies:
        yield Fact(_("The same file"), ", ".join(str(path) for path in model.copies))
    yield Fact(_("Size"), size_text(model.size))
    yield Fact(_("Format"), model.format.value)
    if model.architecture is not None:
        yield Fact(_("Architecture"), model.architecture.label)
    if model.variant:
        yield Fact(_("Variant"), model.variant)
    if model.quantization is not None:
        yield Fact(_("Quantization"), model.quantization.name.lower())
    if model.parameter_count:
        yield Fact(_("Parameters"), count_text(model.parameter_count))
        yield Fact(_("Tensors"), f"{model.tensor_count}")
    if model.embedded:
        yield Fact(_("Holds"), ", ".join(sorted(str(part) for part in model.embedded)))
    if model.base_model:
        yield Fact(_("Base model"), model.base_model)
    if model.licence:
        yield Fact(_("Licence"), model.licence)
