"""Models: listing, details, loading, validation, hashing and conversion."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.job import Job, JobType
from sdrest.core.model import MAIN_TYPES, MODEL_TYPES, Model, parse_model_types
from sdrest.core.principal import Permission
from sdrest.jobs.filework import plan_conversion
from sdrest.registry.catalogue import Query, SortKey
from sdrest.registry.header import HeaderError
from sdrest.registry.registry import Registry
from sdrest.registry.validate import validate as validate_model
from sdrest.web.access import requires
from sdrest.web.api.model_views import ModelDetail, ModelView, model_detail, model_view, type_view
from sdrest.web.bodies import Body, parse_json, parse_query, validate
from sdrest.web.keys import JOBS, MODELS, PRINCIPAL, RESIDENCY
from sdrest.web.operations import operation
from sdrest.web.replies import json_reply
from sdrest.web.routing import Route

_MAX_TIMEOUT_SECONDS: Final = 3600
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


class LoadQuery(Body):
    """Whether to wait for the end of loading."""

    wait: bool = Field(False, description="Answer when the model is loaded.")
    timeout: float = Field(600, gt=0, le=_MAX_TIMEOUT_SECONDS, description="Longest wait in seconds.")


class ModelState(TypedDict, total=False):
    """A model on its way into or out of memory."""

    model_id: str
    model_name: str
    status: str
    job_id: str
    error: str | None
    unloaded: int
    memory_before_bytes: int
    memory_after_bytes: int


class BatchBody(Body):
    """One operation on several models."""

    operation: Literal["load", "unload", "hash", "validate"] = Field(description="What to do.")
    models: list[str] = Field(min_length=1, max_length=1000, description="Names or ids.")


class ValidateBody(Body):
    """Which model to validate."""

    model: str = Field(min_length=1, max_length=500, description="Name or id.")


class HashBody(Body):
    """Which models to hash; one of the two fields."""

    model: str = Field("", max_length=500, description="Name or id.")
    models: list[str] = Field(default_factory=list, max_length=1000, description="Names or ids.")


class ConvertBody(Body):
    """What to convert into what."""

    model_name: str = Field(min_length=1, max_length=500, description="Name or id of the model.")
    quantization_type: str = Field(min_length=1, max_length=50, description="Type of the result, for example q8_0.")
    output_path: str = Field(
        "", max_length=4000, description="File to write, within the model folders; empty: beside the input."
    )
    rules: str = Field("", max_length=4000, description="Types by tensor name: `^vae\\.=f16,model\\.=q8_0`.")


class Queued(TypedDict):
    """A background job."""

    job_id: str
    status: str
    output_path: str | None


class HashResult(TypedDict):
    """One model's hash."""

    model: str
    sha256: str | None


class Hashed(TypedDict, total=False):
    """Known hashes, and the job that makes the others."""

    results: list[HashResult]
    job_id: str
    status: str


class Verdict(TypedDict):
    """Whether a model can be used here, and why not."""

    model: str
    valid: bool
    compatible: bool
    architecture: str | None
    format: str
    tensors: int
    missing_components: list[str]
    problems: list[dict[str, Any]]


class BatchReply(TypedDict):
    """What became of each model."""

    operation: str
    results: list[dict[str, Any]]
    succeeded: int
    failed: int


class TypeList(TypedDict):
    """The model types."""

    types: list[dict[str, Any]]


class DirectoryList(TypedDict):
    """The model folders."""

    directories: list[dict[str, Any]]


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


def _named(request: web.Request) -> Model:
    return request.app[MODELS].resolve(request.match_info["model_id"])


def _is_loaded(request: web.Request, model: Model) -> bool:
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
        "models": [model_view(model, is_loaded=_is_loaded(request, model)) for model in page.models],
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
    model = _named(request)
    metadata = await asyncio.to_thread(_metadata, request.app[MODELS], model)
    return json_reply(model_detail(request.app[MODELS], model, metadata, is_loaded=_is_loaded(request, model)))


def _metadata(registry: Registry, model: Model) -> dict[str, Any]:
    try:
        found = registry.header(model).metadata
    except (HeaderError, OSError):
        return {}
    return {str(key): text if len(text := str(value)) <= _METADATA_CHARACTERS else "…" for key, value in found.items()}


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
        inside = [model for model in registry.catalogue.models if model.path.is_relative_to(folder.path)]
        exists = folder.path.is_dir()
        found.append(
            {
                "type": folder.kind.key,
                "path": str(folder.path),
                "exists": exists,
                "readable": exists and os.access(folder.path, os.R_OK | os.X_OK),
                "writable": exists and os.access(folder.path, os.W_OK | os.X_OK),
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
    report = await asyncio.to_thread(request.app[MODELS].refresh)
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
    loaded = [model.name for model in catalogue.models if _is_loaded(request, model)]
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


async def _queue_load(request: web.Request, model: Model) -> Job:
    if not model.type & MAIN_TYPES:
        raise InvalidInput(f"{model.name} is of type {model.type.slug}; only main models are loaded", field="model_id")
    request.app[MODELS].loading(model)  # raises when the file or its components cannot do
    return await request.app[JOBS].submit_task(
        JobType.LOAD, {}, request[PRINCIPAL], model_id=model.id, model_name=model.name
    )


@requires(Permission.MANAGE_MODELS)
@operation("models", query=LoadQuery, reply=ModelState, status=202, also={200: ModelState}, errors=(422,))
async def load(request: web.Request) -> web.Response:
    """Load a model into memory: queued at once, or with `wait=true` answered when it is there."""
    query = parse_query(LoadQuery, request)
    model = _named(request)
    if _is_loaded(request, model):
        return json_reply({"model_id": model.id, "model_name": model.name, "status": "loaded"})
    job = await _queue_load(request, model)
    if query.wait:
        job = await request.app[JOBS].wait(job.id, request[PRINCIPAL], query.timeout)
    status = {"completed": "loaded", "running": "loading", "pending": "loading"}.get(job.state, str(job.state))
    reply: ModelState = {
        "model_id": model.id,
        "model_name": model.name,
        "status": status,
        "job_id": job.id,
        "error": job.failure.message if job.failure else None,
    }
    return json_reply(reply, status=200 if job.is_finished else 202)


async def _unload(request: web.Request, model: Model) -> ModelState:
    done = await request.app[RESIDENCY].unload(model)
    return {
        "model_id": model.id,
        "model_name": model.name,
        "status": "unloaded",
        "unloaded": done.result.get("unloaded", 0),
        "memory_before_bytes": done.result.get("memory_before_bytes", 0),
        "memory_after_bytes": done.result.get("memory_after_bytes", 0),
    }


@requires(Permission.MANAGE_MODELS)
@operation("models", reply=ModelState)
async def unload(request: web.Request) -> web.Response:
    """Free a model's memory, after the running job."""
    return json_reply(await _unload(request, _named(request)))


def _verdict(registry: Registry, model: Model) -> Verdict:
    found = validate_model(registry, model)
    return {
        "model": model.name,
        "valid": found.valid,
        "compatible": found.compatible,
        "architecture": found.architecture,
        "format": found.format,
        "tensors": model.tensor_count,
        "missing_components": [str(component) for component in found.missing],
        "problems": [
            {"code": problem.code, "message": problem.message, "fatal": problem.fatal} for problem in found.problems
        ],
    }


@operation("models", body=ValidateBody, reply=Verdict, errors=(404,))
async def validate_file(request: web.Request) -> web.Response:
    """Check a model's file and components without loading it."""
    body = validate(ValidateBody, parse_json(await request.read()))
    model = request.app[MODELS].resolve(body.model)
    return json_reply(await asyncio.to_thread(_verdict, request.app[MODELS], model))


async def _hash(request: web.Request, models: list[Model]) -> tuple[list[HashResult], Job | None]:
    """The hashes known, and the job that computes the others."""
    results: list[HashResult] = [{"model": model.name, "sha256": model.sha256} for model in models]
    unknown = [model.id for model in models if model.sha256 is None]
    if not unknown:
        return results, None
    return results, await request.app[JOBS].submit_task(JobType.HASH, {"models": unknown}, request[PRINCIPAL])


@operation("models", body=HashBody, reply=Hashed, also={202: Hashed}, errors=(404,))
async def hash_models(request: web.Request) -> web.Response:
    """SHA-256 of models: known ones at once, others by a background job."""
    body = validate(HashBody, parse_json(await request.read()))
    names = [*([body.model] if body.model else []), *body.models]
    if not names:
        raise InvalidInput("name a model in `model`, or several in `models`", field="model")
    results, job = await _hash(request, [request.app[MODELS].resolve(name) for name in names])
    if job is None:
        return json_reply({"results": results})
    return json_reply({"results": results, "job_id": job.id, "status": job.state}, status=202)


@requires(Permission.MANAGE_MODELS)
@operation("models", body=ConvertBody, reply=Queued, status=202, errors=(403, 404, 409, 422, 507))
async def convert(request: web.Request) -> web.Response:
    """Write a model in another quantization, by a background job."""
    body = validate(ConvertBody, parse_json(await request.read()))
    parameters = await asyncio.to_thread(_conversion, request.app[MODELS], body)
    job = await request.app[JOBS].submit_task(JobType.CONVERT, parameters, request[PRINCIPAL])
    reply: Queued = {"job_id": job.id, "status": job.state, "output_path": parameters["target"]}
    return json_reply(reply, status=202)


def _conversion(registry: Registry, body: ConvertBody) -> dict[str, str]:
    """The job's parameters, after everything that can be told beforehand has been checked."""
    model = registry.resolve(body.model_name)
    output = Path(body.output_path) if body.output_path else None
    parameters, _ = plan_conversion(registry, model, body.quantization_type, output, body.rules)
    return parameters


@requires(Permission.MANAGE_MODELS)
@operation("models", body=BatchBody, reply=BatchReply)
async def batch(request: web.Request) -> web.Response:
    """Load, unload, hash or validate several models; each has its own result."""
    body = validate(BatchBody, parse_json(await request.read()))
    results: list[dict[str, Any]] = []
    for name in body.models:
        try:
            result = await _one(request, body.operation, request.app[MODELS].resolve(name))
        except SdrestError as error:
            result = {"success": False, "error": error.message}
        results.append({"model": name, **result})
    succeeded = sum(bool(result["success"]) for result in results)
    reply: BatchReply = {
        "operation": body.operation,
        "results": results,
        "succeeded": succeeded,
        "failed": len(results) - succeeded,
    }
    return json_reply(reply)


async def _one(request: web.Request, wanted: str, model: Model) -> dict[str, Any]:
    match wanted:
        case "load":
            return {"success": True, "job_id": (await _queue_load(request, model)).id}
        case "unload":
            return {"success": True, **await _unload(request, model)}
        case "hash":
            results, job = await _hash(request, [model])
            return {"success": True, "sha256": results[0]["sha256"], "job_id": job.id if job else None}
        case _:
            verdict = await asyncio.to_thread(_verdict, request.app[MODELS], model)
            return {"success": verdict["valid"], "problems": verdict["problems"]}


#: Words that stand where an id could: they come first.
ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/models", list_models),
    ("GET", "/models/types", types),
    ("GET", "/models/directories", directories),
    ("GET", "/models/stats", stats),
    ("POST", "/models/refresh", refresh),
    ("POST", "/models/batch", batch),
    ("POST", "/models/validate", validate_file),
    ("POST", "/models/hash", hash_models),
    ("POST", "/models/convert", convert),
    ("GET", "/models/{model_id}", detail),
    ("POST", "/models/{model_id}/load", load),
    ("POST", "/models/{model_id}/unload", unload),
)
