"""The tools and resources that an assistant gets. Each is a few lines on the job service; the dialects' submission is shared."""

from __future__ import annotations

import asyncio
import base64
import functools
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from aiohttp import web
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent
from PIL import Image
from pydantic import Field

from sdrest import __version__
from sdrest.core.errors import Forbidden, InvalidInput, SdrestError
from sdrest.core.events import JobChanged, JobProgressed
from sdrest.core.job import Job, JobState, Output
from sdrest.core.model import MAIN_TYPES, parse_model_types
from sdrest.core.parameters import GenerationParameters, UpscaleParameters
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter
from sdrest.registry.catalogue import Query
from sdrest.web.http.keys import DEFAULT_MODEL, JOBS, MODELS, PRINCIPAL
from sdrest.web.http.replies import json_text
from sdrest.web.requests.audience import in_audience
from sdrest.web.requests.job_views import job_reply
from sdrest.web.requests.pictures import read_picture, read_pictures
from sdrest.web.requests.results import absolute_url, ending_as_error, pictures_of, read_output
from sdrest.web.requests.submission import Mode, Pictures, chosen_model, submitted

P = ParamSpec("P")
R = TypeVar("R")

#: The HTTP request that is being answered; the package hands no request to the functions behind fixed resources.
REQUEST: Final[ContextVar[web.Request]] = ContextVar("mcp_request")
_LISTED: Final = 50
_GENERATION: Final = Mode.loose("mcp", GenerationParameters)
_UPSCALING: Final = Mode.loose("mcp", UpscaleParameters)

Picture = Annotated[
    str, Field(description="Base64, a data: URL, an http(s) URL, or job:<id>/<file> of an earlier job.")
]
Count = Annotated[int, Field(ge=1, le=10, description="Number of pictures; picture i has seed + i.")]
Wait = Annotated[bool, Field(description="Wait for the pictures; otherwise answer at once with the job's id.")]
Model = Annotated[str, Field(description="Name of a model (see list_models); empty: the default one.")]


async def generate_image(
    context: Context[Any],
    prompt: Annotated[str, Field(min_length=1, description="What the picture should show.")],
    negative_prompt: str = "",
    model: Model = "",
    width: int | None = None,
    height: int | None = None,
    steps: int | None = None,
    cfg_scale: float | None = None,
    sampler: str | None = None,
    scheduler: str | None = None,
    seed: int | None = None,
    count: Count = 1,
    loras: Annotated[dict[str, float] | None, Field(description="Multiplier by name of LoRA.")] = None,
    wait: Wait = True,
) -> CallToolResult:
    """Make pictures from a prompt. What is left open takes the model's own defaults."""
    values = {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "model": model or None,
        "width": width,
        "height": height,
        "steps": steps,
        "cfg_scale": cfg_scale,
        "sampler": sampler,
        "scheduler": scheduler,
        "seed": seed,
        "batch_count": count,
        "loras": loras,
    }
    return await _made(context, _GENERATION, values, {}, wait=wait)


async def edit_image(
    context: Context[Any],
    prompt: str,
    image: Picture,
    mask: Annotated[Picture, Field(description="White where to repaint; empty: everywhere.")] = "",
    strength: Annotated[float, Field(ge=0, le=1, description="How much may change.")] = 0.75,
    model: Model = "",
    steps: int | None = None,
    seed: int | None = None,
    wait: Wait = True,
) -> CallToolResult:
    """Change a picture by a prompt, everywhere or where a mask is white."""
    read = await read_pictures(REQUEST.get(), {"image": [image], "mask": [mask] if mask else []})
    modes = (("init_image", "image", "RGB"), ("mask_image", "mask", "L"))
    pictures = {name: [await _converted(item, mode) for item in read[field]] for name, field, mode in modes}
    values = {"prompt": prompt, "strength": strength, "model": model or None, "steps": steps, "seed": seed}
    return await _made(context, _GENERATION, values, pictures, wait=wait)


async def upscale_image(
    context: Context[Any],
    image: Picture,
    upscaler: Annotated[str, Field(description="Name of an ESRGAN model; empty: the only or the default one.")] = "",
    factor: Annotated[float, Field(ge=1, le=16)] = 4,
    wait: Wait = True,
) -> CallToolResult:
    """Enlarge a picture with an ESRGAN model."""
    picture = await _converted(await read_picture(REQUEST.get(), image, field="image"), "RGB")
    values = {"upscale_model": upscaler or None, "upscale_factor": factor}
    return await _made(context, _UPSCALING, values, {"image": [picture]}, wait=wait)


async def list_models(
    type: Annotated[str, Field(description="checkpoint, lora, vae, esrgan, controlnet …; empty: all.")] = "",  # noqa: A002
    search: str = "",
) -> list[dict[str, Any]]:
    """The models that are there."""
    wanted = parse_model_types(type) if type else None
    if type and wanted is None:
        raise InvalidInput(f"there is no model type {type!r}", field="type")
    page = REQUEST.get().app[MODELS].catalogue.search(Query(type=wanted, search=search))
    return [_model_view(model) for model in page.models]


def _model_view(model: Any) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "type": model.type.slug,
        "architecture": model.architecture.label if model.architecture else None,
        "usable": model.usable,
        "trigger_words": list(model.trigger_words),
    }


async def use_model(name: str) -> str:
    """Make a model the default one for later requests that name none."""
    request = REQUEST.get()
    if not request[PRINCIPAL].may(Permission.GENERATE):
        raise Forbidden("choosing a model needs the permission 'generate'")
    model = request.app[MODELS].catalogue.resolve(name, MAIN_TYPES)
    await request.app[DEFAULT_MODEL].choose(model, request[PRINCIPAL])
    return f"{model.name} is the default model now"


async def get_job(
    context: Context[Any],
    job_id: str,
    wait: Annotated[bool, Field(description="Wait until the job has ended.")] = False,
    pictures: Annotated[bool, Field(description="Add the finished pictures.")] = True,
) -> CallToolResult:
    """A job: its state, progress, parameters, and its pictures once they are finished."""
    request = REQUEST.get()
    job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
    if wait:
        job = await _followed(context, request, job)
    return await _shown(request, job, pictures=pictures)


async def list_jobs(
    state: Annotated[JobState | None, Field(description="Only jobs in this state.")] = None,
    limit: Annotated[int, Field(ge=1, le=_LISTED)] = 10,
) -> list[dict[str, Any]]:
    """The newest jobs, without pictures."""
    request = REQUEST.get()
    wanted = JobFilter(states=(state,) if state else (), limit=limit)
    return [_brief(job) for job in await request.app[JOBS].find(wanted, request[PRINCIPAL])]


async def cancel_job(job_id: str) -> str:
    """Cancel a waiting or running job."""
    request = REQUEST.get()
    after = await request.app[JOBS].cancel(job_id, request[PRINCIPAL])
    return f"the job is {'cancelled' if after.state is JobState.CANCELLED else 'being cancelled'}"


async def models_resource() -> str:
    """The models that can make pictures, and the default one, as JSON."""
    request = REQUEST.get()
    usable = [_model_view(model) for model in request.app[MODELS].catalogue.of_type(MAIN_TYPES)]
    return json_text({"default": chosen_model(request, "").name, "models": usable})


async def queue_resource() -> str:
    """The queue: counts by state, and the jobs that wait or run, as JSON."""
    request = REQUEST.get()
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    active = JobFilter(states=(JobState.PENDING, JobState.RUNNING), newest_first=False, limit=_LISTED)
    counts = await jobs.counts(principal)
    return json_text({"counts": counts, "jobs": [_brief(job) for job in await jobs.find(active, principal)]})


async def job_resource(job_id: str) -> str:
    """A job in full, as JSON."""
    request = REQUEST.get()
    job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
    return json_text(await job_reply(request, job))


# ---------------------------------------------------------------------- shared


async def _converted(picture: Image.Image, mode: str) -> Image.Image:
    return await asyncio.to_thread(picture.convert, mode)


async def _made(
    context: Context[Any], mode: Mode, values: Mapping[str, Any], pictures: Pictures, *, wait: bool
) -> CallToolResult:
    request = REQUEST.get()
    job = await submitted(request, mode, values, pictures=pictures)
    if wait:
        async with in_audience(request, job):
            job = await _followed(context, request, job)
    if job.state in {JobState.FAILED, JobState.CANCELLED}:
        raise ending_as_error(job)
    return await _shown(request, job, pictures=True)


async def _followed(context: Context[Any], request: web.Request, job: Job) -> Job:
    """The job when it has ended; its progress is reported to the client meanwhile."""
    jobs = request.app[JOBS]
    events = jobs.broadcast.subscribe(
        lambda event: (
            (isinstance(event, JobProgressed) and event.job_id == job.id)
            or (isinstance(event, JobChanged) and event.job.id == job.id and event.job.is_finished)
        )
    )
    try:
        now = await jobs.get(job.id, request[PRINCIPAL])
        if now.is_finished:
            return now
        async for event in events:
            match event:
                case JobChanged(job=changed):
                    return changed
                case JobProgressed(progress=progress):
                    await context.report_progress(progress.fraction, 1.0, str(progress.phase))
                case _:
                    pass
    finally:
        jobs.broadcast.unsubscribe(events)
    return await jobs.get(job.id, request[PRINCIPAL])


async def _shown(request: web.Request, job: Job, *, pictures: bool) -> CallToolResult:
    outputs = pictures_of(job)
    content: list[ContentBlock] = []
    if pictures:
        for output in outputs:
            encoded = await asyncio.to_thread(_base64, request, job, output)
            content.append(ImageContent(type="image", data=encoded, mime_type=output.media_type))
    view = _brief(job) | {
        "seeds": [output.seed for output in outputs],
        "urls": [absolute_url(request, job, output) for output in outputs],
        "warnings": list(job.warnings),
        "error": job.failure.message if job.failure else None,
    }
    return CallToolResult(content=[*content, TextContent(type="text", text=json_text(view))])


def _base64(request: web.Request, job: Job, output: Output) -> str:
    return base64.b64encode(read_output(request, job, output)).decode()


def _brief(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "type": job.type,
        "status": job.state,
        "model": job.model_name,
        "prompt": job.parameters.get("prompt", ""),
        "created_at": job.created_at,
    }


_TOOLS: Final = (
    generate_image,
    edit_image,
    upscale_image,
    list_models,
    use_model,
    get_job,
    list_jobs,
    cancel_job,
)


def _said(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """A tool whose known errors reach the assistant in their own words; the package shows no others."""

    @functools.wraps(tool)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await tool(*args, **kwargs)
        except SdrestError as error:
            raise ToolError(error.message) from error

    return call


def make_server() -> MCPServer[Any]:
    """The server with all tools and resources."""
    server: MCPServer[Any] = MCPServer(
        "sdrest",
        version=__version__,
        instructions="Makes and changes pictures with Stable Diffusion models on this machine. Long jobs: call with "
        "wait=false, then get_job.",
    )
    for tool in _TOOLS:
        server.add_tool(_said(tool))
    server.resource("sdrest://models", mime_type="application/json")(models_resource)
    server.resource("sdrest://queue", mime_type="application/json")(queue_resource)
    server.resource("sdrest://jobs/{job_id}", mime_type="application/json")(job_resource)
    return server
