"""More pictures like one that is there."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, cast

from aiohttp import web
from pydantic import Field

from sdrest.core.errors import Conflict, InvalidInput, NotFound
from sdrest.core.job import Job, JobType, Output, number_of
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters, limits_of
from sdrest.jobs.submission import TABLES
from sdrest.web.api.generate import SUBMIT_ERRORS, Accepted, accepted
from sdrest.web.http.bodies import Body, read_object, validate
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.http.operations import operation
from sdrest.web.http.routing import Route
from sdrest.web.requests.parameter_bodies import body_model
from sdrest.web.requests.pictures import INPUT_PREFIX
from sdrest.web.requests.results import pictures_of
from sdrest.web.requests.submission import Mode, submitted

#: What belongs to repainting a part, or to another picture's composition, and not to a picture of its own.
_LEFT_OUT: Final = ("mask_image", "inpaint", "outpaint", "init_image", "width", "height", "hires", "upscale_model")


class VariationsBody(Body):
    """How different, and how many."""

    count: int = Field(4, ge=1, le=64, description="How many pictures.")
    strength: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How much the picture may change: the new ones are made from it. Left out: as it was made, by new seeds.",
    )
    file: str = Field("", max_length=200, description="The picture, where the job has several; empty: the first.")


def _mode(job_type: JobType) -> Mode:
    table = TABLES[job_type]
    return Mode(
        dialect="native",
        table=table,
        body=body_model(f"Varied{table.__name__}", cast("type", table)),
        job_type=job_type,
    )


@operation("queue", body=VariationsBody, body_required=False, reply=Accepted, status=202, errors=(409, *SUBMIT_ERRORS))
async def variations(request: web.Request) -> web.Response:
    """Queue more pictures like those of a job: by new seeds, or with `strength` made from one of its pictures.

    Prompts that were drawn are drawn again by the new seed.
    """
    body = validate(VariationsBody, await read_object(request))
    job = await request.app[JOBS].get(request.match_info["job_id"], request[PRINCIPAL])
    if not issubclass(TABLES.get(job.type, object), GenerationParameters):
        raise Conflict(f"a job of the type {job.type} has nothing to vary")
    values: dict[str, Any] = {**_again(job), "seed": RANDOM_SEED, "batch_count": body.count}
    job_type, varied_from = job.type, f"{job.id}/{_number(job, body.file)}"
    if body.strength is not None:
        output, job_type, varied_from = _picture(job, body.file), JobType.IMG2IMG, ""
        values = {name: value for name, value in values.items() if name not in _LEFT_OUT}
        values |= {"init_image": f"job:{job.id}/{output.file}", "strength": body.strength}
    varied = await submitted(request, _mode(job_type), values, varied_from=varied_from)
    return accepted(request, varied, await request.app[JOBS].store.position(varied.id))


def _again(job: Job) -> dict[str, Any]:
    """A job's parameters as a request has them: its pictures by reference, its prompts before they were drawn."""
    fields = {item.name: item for item in dataclasses.fields(TABLES[job.type])}
    values = {name: value for name, value in job.parameters.items() if name in fields and value is not None}
    for name, value in list(values.items()):
        if not limits_of(fields[name]).picture:
            continue
        files = [value] if isinstance(value, str) else list(value)
        references = [f"job:{job.id}/{INPUT_PREFIX}{file}" for file in files if file]
        if references:
            values[name] = references[0] if isinstance(value, str) else references
        else:
            del values[name]
    if values.get("dynamic_prompts"):
        values |= {name: values.pop(f"{name}_source", "") for name in ("prompt", "negative_prompt")}
    return {**values, "model": job.model_id}


def _number(job: Job, file: str) -> str:
    return number_of(file) if file in {output.file for output in job.outputs} else "0"


def _picture(job: Job, file: str) -> Output:
    """The picture that is meant.

    Raises:
        Conflict: the job has made none.
        NotFound: it has none of that name.
        InvalidInput: it is a video.
    """
    if job.type is JobType.VIDEO:
        raise InvalidInput("a video cannot be made from a video; leave strength out for a new seed", field="strength")
    made = pictures_of(job)
    if not made:
        raise Conflict("the job has made no picture (yet)", state=str(job.state))
    found = next((output for output in made if file in {"", output.file}), None)
    if found is None:
        raise NotFound(f"job {job.id} has no output {file!r}")
    return found


ROUTES: Final[tuple[Route, ...]] = (("POST", "/queue/job/{job_id}/variations", variations),)
