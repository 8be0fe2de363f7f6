"""What is done for one model from its page and by its routes: notes, the picture that it is shown with, measuring, samples."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.core.files import existing
from sdrest.core.job import Job, JobType, Output
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.outputs.pictures import small_png
from sdrest.registry.loading import resolve_loading
from sdrest.registry.own_notes import save_notes, save_preview
from sdrest.web.http.keys import INTAKE, JOBS, MODELS, PRINCIPAL, REFRESHER, SETTINGS, SIZE_PLANNER

_PREVIEW_PX: Final = 512


async def write_notes_on(request: web.Request, model: Model, text: str) -> None:
    """Write notes beside a model. Raises as :func:`sdrest.registry.own_notes.save_notes`."""
    await asyncio.to_thread(save_notes, request.app[MODELS].folders, model, text)
    await request.app[REFRESHER].refresh()


async def show_with(request: web.Request, model: Model, reference: str) -> None:
    """Show a model with the finished picture that ``job:<id>/<file>`` means, from now on.

    Raises:
        NotFound: the caller sees no such picture, or its file is gone.
        InvalidInput: it is no picture.
        Forbidden, Conflict, InsufficientStorage: as :func:`sdrest.registry.own_notes.save_preview`.
    """
    job, output = await output_of(request, reference)
    if not output.media_type.startswith("image/"):
        raise InvalidInput("only pictures can be chosen", field="source")
    path = await asyncio.to_thread(existing, request.app[SETTINGS].output_dir, job.id, output.file)
    png = await asyncio.to_thread(small_png, path, _PREVIEW_PX)
    await asyncio.to_thread(save_preview, request.app[MODELS].folders, model, png)
    await request.app[REFRESHER].refresh()


async def output_of(request: web.Request, reference: str) -> tuple[Job, Output]:
    """The job and file that ``job:<id>/<file>`` means.

    Raises:
        NotFound: the caller sees no such job, or it has no such file.
    """
    job_id, _, file = reference.removeprefix("job:").partition("/")
    job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
    output = next((item for item in job.outputs if item.file == file), None)
    if output is None:
        raise NotFound(f"job {job_id} has no output {file!r}")
    return job, output


async def queue_measuring(request: web.Request, model: Model) -> Job:
    """The job that loads a model and finds out what pictures of its three sizes take.

    Raises:
        InvalidInput: it is no main model.
        ModelUnusable: its file or its parts cannot be loaded.
    """
    if not model.type & MAIN_TYPES:
        raise InvalidInput(f"{model.name} is of type {model.type.slug}; only main models paint", field="model")
    resolve_loading(request.app[MODELS].catalogue, model)  # raises when the file or its components cannot do
    sizes = [list(size) for size in request.app[SIZE_PLANNER].sizes(model)]
    return await request.app[INTAKE].submit_task(
        JobType.LOAD, {"sizes": sizes}, request[PRINCIPAL], model_id=model.id, model_name=model.name
    )
