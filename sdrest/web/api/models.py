"""The registry: listing models, their details, folders and numbers, and looking again."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.model import MODEL_TYPES, TEXT_TYPES, Model, parse_model_types
from sdrest.core.principal import Permission
from sdrest.registry.builtin import builtin_words
from sdrest.registry.catalogue import Query, SortKey
from sdrest.registry.presets import contents_of
from sdrest.registry.registry import Registry
from sdrest.web.api.model_views import ModelDetail, ModelView, model_detail, model_view, type_view
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, parse_query
from sdrest.web.http.keys import MODELS, REFRESHER, RESIDENCY
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route

#: Longest metadata value shown; templates and vocabularies are longer.
_METADATA_CHARACTERS: Final = 2000


class ListQuery(Body):
    """What to list."""

    type: str = Field("", max_length=500, description="Type names or bit values, OR-ed: `lora|vae`, `lora,vae` or `5`.")
    search: str = Field("", max_length=500, description="Words in names and descriptions.")
    sort_by: SortKey = Field(SortKey.NAME, description="What to sort by.")
    sort_order: Literal["asc", "desc"] = Field("asc", description="Direction.")
    page: int = Field(1, ge=1, le=1_000_000, description="Page, from 1.")
    limit: int = Field(50, ge=1, le=1000, description="Models on a page.")


class ModelList(TypedDict):
    """One page of models."""

    models: list[ModelView]
    total: int
    page: int
    limit: int
    total_pages: int
    has_next: bool
    has_prev: bool
    filters: dict[str, Any]


class TypeList(TypedDict):
    """The model types."""

    types: list[dict[str, Any]]


class DirectoryList(TypedDict):
    """The model folders."""

    directories: list[dict[str, Any]]


class DemoWords(TypedDict):
    """The vocabulary of the built-in model: every word with a meaning, what stands for what, and the phrases by kind."""

    words: list[str]
    synonyms: dict[str, str]
    things: list[str]
    shapes: list[str]
    colors: list[str]
    sizes: list[str]
    counts: list[str]
    relations: list[str]
    places: list[str]
    times: list[str]
    styles: list[str]


class Refreshed(TypedDict):
    """What a refresh changed."""

    success: bool
    added: int
    removed: int
    changed: int
    total: int
    skipped: list[str]


class Stats(TypedDict):
    """Totals over all models."""

    total: int
    total_size: int
    by_type: dict[str, int]
    size_by_type: dict[str, int]
    by_architecture: dict[str, int]
    unusable: int
    loaded: list[str]


def named(request: web.Request) -> Model:
    """The model in the address. Raises ModelNotFound, InvalidInput."""
    return request.app[MODELS].catalogue.resolve(request.match_info["model_id"])


def is_loaded(request: web.Request, model: Model) -> bool:
    """Whether the engine holds the model now."""
    return model.id in request.app[RESIDENCY].model_ids


@operation("models", query=ListQuery, reply=ModelList)
async def list_models(request: web.Request) -> web.Response:
    """List models by type and words, sorted, in pages."""
    query = parse_query(ListQuery, request)
    wanted = parse_model_types(query.type) if query.type else None
    if query.type and wanted is None:
        known = ", ".join(kind.slug for kind in MODEL_TYPES)
        raise InvalidInput(f"unknown model type {query.type!r}; known: {known}", field="type")
    page = await asyncio.to_thread(
        request.app[MODELS].catalogue.search,
        Query(wanted, query.search, None, query.sort_by, query.sort_order == "desc", query.page, query.limit),
    )
    reply: ModelList = {
        "models": [model_view(model, is_loaded=is_loaded(request, model)) for model in page.models],
        "total": page.total,
        "page": page.page,
        "limit": page.limit,
        "total_pages": page.total_pages,
        "has_next": page.page < page.total_pages,
        "has_prev": page.page > 1,
        "filters": query.model_dump(mode="json", exclude={"page", "limit"}),
    }
    return json_reply(reply)


@operation("models", reply=ModelDetail)
async def detail(request: web.Request) -> web.Response:
    """A model with its components, tensor types and metadata."""
    model = named(request)
    metadata = await asyncio.to_thread(_metadata, request.app[MODELS], model)
    return json_reply(model_detail(request.app[MODELS], model, metadata, is_loaded=is_loaded(request, model)))


def _metadata(registry: Registry, model: Model) -> dict[str, Any]:
    try:
        found = contents_of(model) if model.type & TEXT_TYPES else registry.header(model).metadata
    except (SdrestError, OSError):
        return {}
    return {str(key): text if len(text := str(value)) <= _METADATA_CHARACTERS else "…" for key, value in found.items()}


@operation("models", reply=DemoWords)
async def demo_words(request: web.Request) -> web.Response:
    """The words that the built-in model understands; any other word of a prompt changes nothing in its pictures."""
    del request
    return json_reply(builtin_words())


@operation("models", reply=TypeList)
async def types(request: web.Request) -> web.Response:
    """The model types, their bit values, folders and file endings."""
    return json_reply({"types": [type_view(request.app[MODELS], kind) for kind in MODEL_TYPES]})


@requires(Permission.MANAGE_MODELS)
@operation("models", reply=DirectoryList)
async def directories(request: web.Request) -> web.Response:
    """The model folders and their state."""
    return json_reply({"directories": await asyncio.to_thread(_directories, request.app[MODELS])})


def _directories(registry: Registry) -> list[dict[str, Any]]:
    found = []
    for folder in registry.directories():
        inside = [
            model
            for model in registry.catalogue.models
            if model.lender == folder.lender and model.path.is_relative_to(folder.path)
        ]
        exists = folder.path.is_dir()
        found.append(
            {
                "type": folder.kind.key,
                "path": str(folder.path),
                "exists": exists,
                "readable": exists and os.access(folder.path, os.R_OK | os.X_OK),
                "lender": folder.lender or None,
                "writable": exists and not folder.lender and os.access(folder.path, os.W_OK | os.X_OK),
                "count": len(inside),
                "total_size": sum(model.size for model in inside),
                "free_space": shutil.disk_usage(folder.path).free if exists else None,
            }
        )
    return found


@requires(Permission.MANAGE_MODELS)
@operation("models", reply=Refreshed)
async def refresh(request: web.Request) -> web.Response:
    """Look through the model folders again."""
    report = await request.app[REFRESHER].refresh()
    reply: Refreshed = {
        "success": True,
        "added": len(report.added),
        "removed": len(report.removed),
        "changed": len(report.changed),
        "total": report.total,
        "skipped": list(report.skipped),
    }
    return json_reply(reply)


@operation("models", reply=Stats)
async def stats(request: web.Request) -> web.Response:
    """Numbers and sizes by type and architecture."""
    catalogue = request.app[MODELS].catalogue
    found = catalogue.statistics()
    loaded = [model.name for model in catalogue.models if is_loaded(request, model)]
    reply: Stats = {
        "total": found.total,
        "total_size": found.total_size,
        "by_type": dict(found.by_type),
        "size_by_type": dict(found.size_by_type),
        "by_architecture": dict(found.by_architecture),
        "unusable": found.unusable,
        "loaded": loaded,
    }
    return json_reply(reply)


#: Words that stand where an id could: they come first.
ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/models", list_models),
    ("GET", "/models/types", types),
    ("GET", "/models/directories", directories),
    ("GET", "/models/stats", stats),
    ("GET", "/models/demo/words", demo_words),
    ("POST", "/models/refresh", refresh),
    ("GET", "/models/{model_id}", detail),
)
