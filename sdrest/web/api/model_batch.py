"""One operation on several models."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core import bounds
from sdrest.core.errors import SdrestError
from sdrest.core.model import Model
from sdrest.core.principal import Permission
from sdrest.web.access import requires
from sdrest.web.api.model_files import hashes_of, verdict_on
from sdrest.web.api.model_memory import free, queue_load
from sdrest.web.bodies import Body, validate
from sdrest.web.keys import MODELS
from sdrest.web.operations import operation
from sdrest.web.reading import read_json
from sdrest.web.replies import json_reply
from sdrest.web.routing import Route


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
            return {"success": True, "job_id": (await queue_load(request, model)).id}
        case "unload":
            return {"success": True, **await free(request, model)}
        case "hash":
            results, job = await hashes_of(request, [model])
            return {"success": True, "sha256": results[0]["sha256"], "job_id": job.id if job else None}
        case _:
            verdict = await asyncio.to_thread(verdict_on, request.app[MODELS], model)
            return {"success": verdict["valid"], "problems": verdict["problems"]}


ROUTES: Final[tuple[Route, ...]] = (("POST", "/models/batch", batch),)
