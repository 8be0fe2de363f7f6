"""What all dialects share: from loosely written values to a job, and from a finished job to its pictures.

A dialect translates its field names to those of :class:`sdrest.core.parameters.GenerationParameters` and hands the values over as
the client wrote them; everything else is done here, once, by the same tables as on the native routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from PIL import Image

from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.files import confined
from sdrest.core.job import Job, JobType, Output
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.parameters import MAX_SIDE_PX, GenerationParameters, UpscaleParameters, VideoParameters
from sdrest.jobs.submission import Submission
from sdrest.registry.defaults import defaults_of
from sdrest.web.http.bodies import Body, idempotency_key, validate
from sdrest.web.http.keys import DEFAULT_MODEL, MODELS, PRINCIPAL, SETTINGS
from sdrest.web.requests.job_views import public_output_url
from sdrest.web.requests.loose_values import loosened
from sdrest.web.requests.parameter_bodies import body_model, to_parameters
from sdrest.web.requests.pictures import submit_job

Table = type[GenerationParameters] | type[UpscaleParameters]

_BODIES: Final[Mapping[type, type[Body]]] = {
    table: body_model(f"Dialect{table.__name__}", table)
    for table in (GenerationParameters, VideoParameters, UpscaleParameters)
}


@dataclass(slots=True, kw_only=True)
class Wanted:
    """What a client of a dialect asks for, in the core's names. ``names`` gives the dialect's own name of a field, for messages."""

    dialect: str
    values: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Sequence[Image.Image]] = field(default_factory=dict)
    table: Table = GenerationParameters
    type: JobType | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def chosen_model(request: web.Request, name: str) -> Model:
    """The model that ``name`` means, or the caller's default one.

    Raises:
        ModelNotFound: there is none of that name.
    """
    if name:
        return request.app[MODELS].resolve(name, MAIN_TYPES)
    return request.app[DEFAULT_MODEL].model(request[PRINCIPAL])


async def submit(request: web.Request, wanted: Wanted) -> Job:
    """Check and store the job.

    Raises:
        SdrestError: as :meth:`sdrest.jobs.service.JobService.submit`; fields are named as the dialect names them.
    """
    try:
        known = _BODIES[wanted.table].model_fields
        values, warnings = loosened({name: value for name, value in wanted.values.items() if name in known})
        if wanted.table is not UpscaleParameters:
            warnings += _fit_size(values, defaults_of(chosen_model(request, str(values.get("model") or ""))).multiple)
        body = await asyncio.to_thread(validate, _BODIES[wanted.table], values)
        parameters, given, _ = to_parameters(body, wanted.table)
        submission = Submission(
            type=wanted.type or _type_of(wanted),
            parameters=parameters,
            given=given,
            pictures=wanted.pictures,
            principal=request[PRINCIPAL],
            idempotency_key=idempotency_key(request),
            origin={"dialect": wanted.dialect, **wanted.origin},
            reuse=may_reuse(request),
            warnings=(*wanted.warnings, *warnings),
        )
        return await submit_job(request, submission)
    except InvalidInput as error:
        raise InvalidInput(_renamed(problem, wanted.names) for problem in error.problems) from None


def _renamed(problem: FieldProblem, names: Mapping[str, str]) -> FieldProblem:
    first, dot, rest = problem.field.partition(".")
    return FieldProblem(names.get(first, first) + dot + rest, problem.message)


def _type_of(wanted: Wanted) -> JobType:
    if issubclass(wanted.table, VideoParameters):
        return JobType.VIDEO
    if wanted.table is UpscaleParameters:
        return JobType.UPSCALE
    for name, job_type in (
        ("mask_image", JobType.INPAINT),
        ("control_image", JobType.CONTROLNET),
        ("init_image", JobType.IMG2IMG),
    ):
        if wanted.pictures.get(name):
            return job_type
    return JobType.TXT2IMG


def _fit_size(values: dict[str, Any], multiple: int) -> list[str]:
    """Round sides up to what the model can do: clients of a dialect do not know the model's grid, native ones do."""
    warnings = []
    for name in ("width", "height"):
        value = values.get(name)
        if isinstance(value, int) and 0 < value <= MAX_SIDE_PX and value % multiple:
            values[name] = value + multiple - value % multiple
            warnings.append(f"{name} {value} was raised to {values[name]}: this model needs a multiple of {multiple}")
    return warnings


def read_output(request: web.Request, job: Job, output: Output) -> bytes:
    """The bytes of a finished file; blocks, so call it on a thread."""
    return confined(request.app[SETTINGS].output_dir, job.id, output.file).read_bytes()


def pictures_of(job: Job) -> list[Output]:
    """The finished pictures of a job, in order."""
    return [output for output in job.outputs if output.media_type.startswith("image/")]


def absolute_url(request: web.Request, job: Job, output: Output) -> str:
    """Where the client that asked can fetch a finished file; with authentication on, without credentials for a while."""
    return str(request.url.origin()) + public_output_url(request, job.id, output.file)


def may_reuse(request: web.Request) -> bool:
    """False when the request says ``Cache-Control: no-cache`` or ``no-store`` (RFC 9111, 5.2.1)."""
    said = {item.strip().lower() for item in request.headers.get("Cache-Control", "").split(",")}
    return not said & {"no-cache", "no-store"}
