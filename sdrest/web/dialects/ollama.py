"""Ollama's API for making pictures, below ``/ollama``: there, ``/api/generate`` is the path that the native API has too.

Of the rest of that API there is what its clients ask before: the models, one model, the version.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import web
from pydantic import Field

from sdrest import __version__
from sdrest.core.errors import ModelNotFound, SdrestError, Unsupported
from sdrest.core.events import Event, JobChanged, JobProgressed
from sdrest.core.job import Job, JobState, Phase
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.names import PictureFormat
from sdrest.core.parameters import GenerationParameters
from sdrest.jobs.events import Subscription
from sdrest.web.dialects.openai.editing import edited, edits_by_reference
from sdrest.web.http.bodies import LooseBody, read_body, read_object
from sdrest.web.http.keys import JOBS, MODELS, PRINCIPAL, SETTINGS
from sdrest.web.http.loose import Loose, Name, Number, Prose, Texts, Whole
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import big_reply, json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.audience import in_audience
from sdrest.web.requests.pictures import read_pictures
from sdrest.web.requests.results import ending_as_error, pictures_of, read_output, wait_until_completed
from sdrest.web.requests.submission import Mode, Pictures, chosen_model, submitted

_ERROR: Final = dict[str, str]
_LINES: Final = "application/x-ndjson"
_MODE: Final = Mode.loose("ollama", GenerationParameters, {"init_image": "images", "ref_images": "images"})
_LATEST: Final = ":latest"
_OPTIONS: Final = ("seed", "cfg_scale", "negative_prompt", "sampler", "scheduler", "strength")


class Options(Loose):
    """What ``options`` may hold: the seed, and parameters that only this server knows; the rest steers text models."""

    seed: Whole | None = None
    cfg_scale: Number | None = None
    negative_prompt: Prose | None = None
    sampler: Name | None = None
    scheduler: Name | None = None
    strength: Number | None = None


class Generate(Loose):
    """The body of ``generate``."""

    model: Name = Field("", description="Any name of a model; :latest may follow.")
    prompt: Prose = ""
    images: Texts = Field([], description="Pictures to change: painted over, or followed by models that edit.")
    width: Whole | None = None
    height: Whole | None = None
    steps: Whole | None = None
    stream: bool = Field(True, description="Tell how far it is, line by line.")
    options: Options = Options()


class Named(Loose):
    """The body of ``show``."""

    model: Name = ""
    name: Name = Field("", description="As older clients call it.")


@operation(
    "Ollama",
    reply=Reply(dict[str, Any], description="The picture; with `stream` lines of JSON, the last of which has it"),
    body=Generate,
    errors=(404, 409, 422, 507),
    error_schema=_ERROR,
)
async def generate(request: web.Request) -> web.StreamResponse:
    """Make a picture. Without a prompt nothing is made: so clients ask for a model to be loaded, which its first job does."""
    body = await read_body(Generate, request)
    model = _model(request, body.model)
    name = body.model or model.name
    if not body.prompt.strip():
        return json_reply({**_line(name), "response": "", "done": True, "done_reason": "load"})
    given = {**body.model_dump(include={"width", "height", "steps"}), **body.options.model_dump(include=set(_OPTIONS))}
    values = {
        **{key: value for key, value in given.items() if value is not None},
        "prompt": body.prompt,
        "model": model.id,
        "output_format": str(PictureFormat.PNG),
    }
    pictures = await _pictures(request, body, model)
    if not body.stream:
        job = await submitted(request, _MODE, values, pictures=pictures)
        return await big_reply(await _finished(request, name, await wait_until_completed(request, job)))
    broadcast = request.app[JOBS].broadcast
    events = broadcast.subscribe(_wants)
    try:
        job = await submitted(request, _MODE, values, pictures=pictures)
        return await _streamed(request, job, _told(request, name, job, events))
    finally:
        broadcast.unsubscribe(events)


async def _pictures(request: web.Request, body: Generate, model: Model) -> Pictures:
    if not body.images:
        return {}
    read = await read_pictures(request, {"images": body.images})
    return await asyncio.to_thread(edited, {"image": read["images"]}, by_reference=edits_by_reference(model))


def _wants(event: Event) -> bool:
    return isinstance(event, JobProgressed) or (isinstance(event, JobChanged) and event.job.is_finished)


async def _told(request: web.Request, name: str, job: Job, events: Subscription) -> AsyncIterator[dict[str, Any]]:
    """The lines of a stream; ``events`` are older than the job."""
    job = await request.app[JOBS].get(job.id, request[PRINCIPAL])
    if not job.is_finished:
        async for event in events:
            match event:
                case JobChanged(job=changed) if changed.id == job.id:
                    job = changed
                    break
                # As a picture begins, the number of its steps is not known yet.
                case JobProgressed(job_id=job.id, progress=now) if now.phase is Phase.SAMPLE and now.steps:
                    yield {**_line(name), "completed": now.step, "total": now.steps, "done": False}
                case _:
                    pass
    if not job.is_finished:  # too far behind, or the server is stopping
        job = await request.app[JOBS].wait(job.id, request[PRINCIPAL], request.app[SETTINGS].sync_timeout_seconds)
    if job.state is JobState.COMPLETED:
        yield await _finished(request, name, job)
    else:
        yield {"error": ending_as_error(job).message if job.is_finished else "the job is not finished yet"}


async def _streamed(request: web.Request, job: Job, lines: AsyncIterator[Mapping[str, Any]]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _LINES, "X-Job-Id": job.id})
    await response.prepare(request)
    with contextlib.suppress(ConnectionResetError):  # the client went away
        async with in_audience(request, job):
            async for line in lines:
                await response.write(await asyncio.to_thread(msgspec.json.encode, line) + b"\n")
            await response.write_eof()
    return response


def _line(name: str) -> dict[str, Any]:
    return {"model": name, "created_at": datetime.now(UTC)}


async def _finished(request: web.Request, name: str, job: Job) -> dict[str, Any]:
    """The line with the picture; times are in nanoseconds."""
    data = await asyncio.to_thread(read_output, request, job, pictures_of(job)[0])
    ended_at = job.finished_at or job.created_at
    return {
        **_line(name),
        "response": "",
        "image": base64.b64encode(data).decode(),
        "done": True,
        "done_reason": "stop",
        "total_duration": round((ended_at - job.created_at).total_seconds() * 10**9),
        "job_id": job.id,
        "seed": pictures_of(job)[0].seed,
        "warnings": list(job.warnings),
    }


def _model(request: web.Request, name: str) -> Model:
    """The model that a client means; its names may end with a tag."""
    try:
        return chosen_model(request, name)
    except ModelNotFound:
        if not name.endswith(_LATEST):
            raise
        return chosen_model(request, name.removesuffix(_LATEST))


@operation("Ollama", reply=dict[str, Any], error_schema=_ERROR)
async def tags(request: web.Request) -> web.Response:
    """The models."""
    usable = [model for model in request.app[MODELS].catalogue.of_type(MAIN_TYPES) if model.usable]
    return json_reply({"models": [_listed(model) for model in usable]})


def _listed(model: Model) -> dict[str, Any]:
    changed_at = datetime.fromtimestamp(model.mtime_ns / 10**9, UTC)
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": changed_at,
        "size": model.size,
        "digest": model.sha256 or "",
        "details": _details(model),
    }


def _details(model: Model) -> dict[str, Any]:
    family = str(model.architecture.family) if model.architecture else ""
    return {
        "parent_model": "",
        "format": str(model.format),
        "family": family,
        "families": [family] if family else [],
        "parameter_size": f"{model.parameter_count / 10**9:.1f}B" if model.parameter_count else "",
        "quantization_level": model.quantization.value if model.quantization else "",
    }


@operation("Ollama", reply=dict[str, Any], body=Named, errors=(404,), error_schema=_ERROR)
async def show(request: web.Request) -> web.Response:
    """One model; what it can do is ``image``."""
    body = await read_body(Named, request)
    model = _model(request, body.model or body.name)
    info = {"general.architecture": str(model.architecture or ""), "general.parameter_count": model.parameter_count}
    return json_reply(
        {**_listed(model), "capabilities": ["image"], "model_info": info, "parameters": "", "template": ""}
    )


@operation("Ollama", reply=dict[str, str], error_schema=_ERROR)
async def version(_request: web.Request) -> web.Response:
    """The version of this server."""
    return json_reply({"version": __version__})


@operation("Ollama", reply=Reply(None, "text/plain", "A sign of life"), error_schema=_ERROR)
async def sign_of_life(_request: web.Request) -> web.Response:
    """What clients look for to see whether a server is there."""
    return web.Response(text="Ollama is running")


@operation("Ollama", reply=None, body=LooseBody, errors=(422,), error_schema=_ERROR)
async def chat(request: web.Request) -> web.Response:
    """Refused: there is no model here that writes."""
    await read_object(request)
    raise Unsupported("this server makes pictures and has no text model: ask /ollama/api/generate for one")


def render_error(_request: web.Request, error: SdrestError, status: int) -> web.Response:
    """An error as Ollama writes it."""
    return json_reply({"error": error.message}, status=status)


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/ollama/", sign_of_life),
    ("GET", "/ollama/api/version", version),
    ("GET", "/ollama/api/tags", tags),
    ("POST", "/ollama/api/show", show),
    ("POST", "/ollama/api/generate", generate),
    ("POST", "/ollama/api/chat", chat),
)
