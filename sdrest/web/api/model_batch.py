"""One operation on several models."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.job import Job, JobType
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.principal import Permission
from sdrest.registry.loading import resolve_loading
from sdrest.web.api.model_files import hashes_of, verdict_on
from sdrest.web.api.models import is_loaded, named
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, parse_query, read_json, validate
from sdrest.web.http.keys import INTAKE, JOBS, MODELS, PRINCIPAL, RESIDENCY
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route


class BatchBody(Body):
    """One operation on several models."""

    operation: Literal["load", "unload", "hash", "validate"] = Field(description="What to do.")
    models: list[str] = Field(min_length=1, max_length=bounds.MODELS, description="Names or ids.")


class BatchReply(TypedDict):
    """What became of each model."""

    operation: str
    results: list[dict[str, Any]]
    succeeded: int
    failed: int


@requires(Permission.MANAGE_MODELS)
@operation("models", body=BatchBody, reply=BatchReply)
async def batch(request: web.Request) -> web.Response:
    """Load, unload, hash or validate several models; each has its own result."""
    body = validate(BatchBody, await read_json(request))
    results: list[dict[str, Any]] = []
    for name in body.models:
        try:
            result = await _one(request, body.operation, request.app[MODELS].catalogue.resolve(name))
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
            return {"success": True, "job_id": (await queue_load(request, model)).id}
        case "unload":
            return {"success": True, **await free(request, model)}
        case "hash":
            results, job = await hashes_of(request, [model])
            return {"success": True, "sha256": results[0]["sha256"], "job_id": job.id if job else None}
        case _:
            verdict = await asyncio.to_thread(verdict_on, request.app[MODELS], model)
            return {"success": verdict["valid"], "problems": verdict["problems"]}


_MAX_TIMEOUT_SECONDS: Final = 3600


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


async def queue_load(request: web.Request, model: Model) -> Job:
    """The job that loads a main model. Raises InvalidInput, ModelUnusable."""
    if not model.type & MAIN_TYPES:
        raise InvalidInput(f"{model.name} is of type {model.type.slug}; only main models are loaded", field="model_id")
    resolve_loading(request.app[MODELS].catalogue, model)  # raises when the file or its components cannot do
    return await request.app[INTAKE].submit_task(
        JobType.LOAD, {}, request[PRINCIPAL], model_id=model.id, model_name=model.name
    )


@requires(Permission.MANAGE_MODELS)
@operation("models", query=LoadQuery, reply=ModelState, status=202, also={200: ModelState}, errors=(422,))
async def load(request: web.Request) -> web.Response:
    """Load a model into memory: queued at once, or with `wait=true` answered when it is there."""
    query = parse_query(LoadQuery, request)
    model = named(request)
    if is_loaded(request, model):
        return json_reply({"model_id": model.id, "model_name": model.name, "status": "loaded"})
    job = await queue_load(request, model)
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


async def free(request: web.Request, model: Model) -> ModelState:
    """Unload a model, after the running job."""
    done = await request.app[RESIDENCY].unload(model)
    return {
        "model_id": model.id,
        "model_name": model.name,
        "status": "unloaded",
        "unloaded": done.number,
        "memory_before_bytes": done.before,
        "memory_after_bytes": done.after,
    }


@requires(Permission.MANAGE_MODELS)
@operation("models", reply=ModelState)
async def unload(request: web.Request) -> web.Response:
    """Free a model's memory, after the running job."""
    return json_reply(await free(request, named(request)))


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/models/batch", batch),
    ("POST", "/models/{model_id}/load", load),
    ("POST", "/models/{model_id}/unload", unload),
)
