"""Work on model files: validation, hashing and conversion."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput
from sdrest.core.job import Job, JobType
from sdrest.core.model import Model
from sdrest.core.principal import Permission
from sdrest.registry.registry import Registry
from sdrest.registry.validate import validate as validate_model
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_body
from sdrest.web.http.keys import INTAKE, MODELS, PRINCIPAL
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.load_tests import may_test_loading, queue_load_test
from sdrest.work.model_files import plan_conversion


class ValidateBody(Body):
    """Which model to validate."""

    model: str = Field(min_length=1, max_length=500, description="Name or id.")
    load_test: bool = Field(
        False,
        description="Also load it, by a background job in a process of its own; needs the permission manage_models.",
    )


class HashBody(Body):
    """Which models to hash; one of the two fields."""

    model: str = Field("", max_length=500, description="Name or id.")
    models: list[str] = Field(default_factory=list, max_length=bounds.MODELS, description="Names or ids.")


class ConvertBody(Body):
    """What to convert into what."""

    model_name: str = Field(min_length=1, max_length=500, description="Name or id of the model.")
    quantization_type: str = Field(min_length=1, max_length=50, description="Type of the result, for example q8_0.")
    output_path: str = Field(
        "", max_length=4000, description="File to write, within the model folders; empty: beside the input."
    )
    rules: str = Field("", max_length=4000, description="Types by tensor name: `^vae\\.=f16,model\\.=q8_0`.")
    vae: str = Field("", max_length=500, description="Name of a VAE to put in, instead of the model's own.")
    best: bool = Field(False, description="Search for the scales of least error: the library's own bytes, much slower.")
    overwrite: bool = Field(False, description="Replace a file that is there already.")


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


class Tested(Verdict):
    """The same, and the job that loads the model for trial."""

    job_id: str
    status: str


def verdict_on(registry: Registry, model: Model) -> Verdict:
    """What can be said of a model without loading it. Reads its header."""
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


@operation("models", body=ValidateBody, reply=Verdict, also={202: Tested}, errors=(404, 422))
async def validate_file(request: web.Request) -> web.Response:
    """Check a model's file and components without loading it.

    With `load_test` a main model that passes is then loaded by a job, in a process that serves nobody: what the library says of
    it is the job's failure, and loading it endangers nothing.
    """
    body = await read_body(ValidateBody, request)
    model = request.app[MODELS].catalogue.resolve(body.model)
    if body.load_test:
        may_test_loading(request, model)
    verdict = await asyncio.to_thread(verdict_on, request.app[MODELS], model)
    if not (body.load_test and verdict["compatible"]):
        return json_reply(verdict)
    job = await queue_load_test(request, model)
    tested: Tested = {**verdict, "job_id": job.id, "status": job.state}
    return json_reply(tested, status=202)


async def hashes_of(request: web.Request, models: list[Model]) -> tuple[list[HashResult], Job | None]:
    """The hashes known, and the job that computes the others."""
    results: list[HashResult] = [{"model": model.name, "sha256": model.sha256} for model in models]
    unknown = [model.id for model in models if model.sha256 is None]
    if not unknown:
        return results, None
    return results, await request.app[INTAKE].submit_task(JobType.HASH, {"models": unknown}, request[PRINCIPAL])


@operation("models", body=HashBody, reply=Hashed, also={202: Hashed}, errors=(404,))
async def hash_models(request: web.Request) -> web.Response:
    """SHA-256 of models: known ones at once, others by a background job."""
    body = await read_body(HashBody, request)
    names = [*([body.model] if body.model else []), *body.models]
    if not names:
        raise InvalidInput("name a model in `model`, or several in `models`", field="model")
    results, job = await hashes_of(request, [request.app[MODELS].catalogue.resolve(name) for name in names])
    if job is None:
        return json_reply({"results": results})
    return json_reply({"results": results, "job_id": job.id, "status": job.state}, status=202)


@requires(Permission.MANAGE_MODELS)
@operation("models", body=ConvertBody, reply=Queued, status=202, errors=(403, 404, 409, 422, 507))
async def convert(request: web.Request) -> web.Response:
    """Write a model in another quantization, by a background job."""
    body = await read_body(ConvertBody, request)
    parameters = await asyncio.to_thread(_conversion, request.app[MODELS], body)
    job = await request.app[INTAKE].submit_task(JobType.CONVERT, parameters, request[PRINCIPAL])
    reply: Queued = {"job_id": job.id, "status": job.state, "output_path": parameters["target"]}
    return json_reply(reply, status=202)


def _conversion(registry: Registry, body: ConvertBody) -> dict[str, Any]:
    """The job's parameters, after everything that can be told beforehand has been checked."""
    model = registry.catalogue.resolve(body.model_name)
    output = Path(body.output_path) if body.output_path else None
    parameters, _ = plan_conversion(
        registry,
        model,
        body.quantization_type,
        output,
        body.rules,
        vae=body.vae,
        best=body.best,
        overwrite=body.overwrite,
    )
    return parameters


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/models/validate", validate_file),
    ("POST", "/models/hash", hash_models),
    ("POST", "/models/convert", convert),
)
