"""Submitting generations: ``POST /generate/…`` (answers at once) and ``POST /generate`` (answers with the pictures)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, Final, NotRequired

from aiohttp import web
from typing_extensions import TypedDict

from sdrest.core.files import existing
from sdrest.core.job import Job, JobState
from sdrest.web.http.bodies import read_json
from sdrest.web.http.keys import JOBS, PRINCIPAL, SETTINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import Links, ProgressView, links, progress_view, timestamp
from sdrest.web.requests.native_modes import CONTROLNET, GENERATE, IMG2IMG, INPAINTING, TEXT2IMG, UPSCALE, VIDEO
from sdrest.web.requests.results import wait_until_completed, waiting_warnings
from sdrest.web.requests.submission import Mode, submitted


class Accepted(TypedDict):
    """A stored job."""

    job_id: str
    status: JobState
    position: int | None
    created_at: str | None
    seed: int | None
    reused: bool
    warnings: list[str]
    links: Links


class GeneratedImage(TypedDict):
    """One picture, base64 of the PNG file, and what was really used to make it."""

    data: str
    seed: int | None
    parameters: dict[str, Any]


class GenerationView(TypedDict):
    """A job in the shape of the synchronous reply."""

    job_id: str
    status: JobState
    images: list[GeneratedImage]
    generation_time: float | None
    reused: bool
    warnings: NotRequired[list[str]]
    progress: NotRequired[ProgressView]
    error: NotRequired[str | None]


#: What submitting can meet beside the faults of the body: no such model, an unusable one, no memory, no disk.
SUBMIT_ERRORS: Final = (404, 409, 422, 507)


def accepted(request: web.Request, job: Job, position: int | None) -> web.Response:
    """The 202 reply to a stored job."""
    view: Accepted = {
        "job_id": job.id,
        "status": job.state,
        "position": position,
        "created_at": timestamp(job.created_at),
        "seed": job.parameters.get("seed"),
        "reused": bool(job.reused_from),
        "warnings": [*job.warnings, *waiting_warnings(request.app, job)],
        "links": links(request, job.id),
    }
    return json_reply(view, status=202, headers={"Location": f"/api/queue/job/{job.id}"})


async def _queued(request: web.Request, mode: Mode) -> web.Response:
    """Store the job that the request asks for, and answer 202."""
    job = await submitted(request, mode, await read_json(request))
    return accepted(request, job, await request.app[JOBS].store.position(job.id))


@operation("generate", body=TEXT2IMG.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def text2img(request: web.Request) -> web.Response:
    """Queue a picture from a prompt."""
    return await _queued(request, TEXT2IMG)


@operation("generate", body=GENERATE.body, reply=GenerationView, errors=SUBMIT_ERRORS)
async def generate(request: web.Request) -> web.Response:
    """Make pictures and answer with them.

    When the client hangs up, the job is cancelled after a while (the setting ``hang_up_grace_seconds``), unless it has an
    ``idempotency_key`` or a ``webhook_url``: then it goes on.
    """
    job = await submitted(request, GENERATE, await read_json(request))
    job = await wait_until_completed(request, job)
    return await asyncio.to_thread(_view_reply, request, job, headers={"X-Job-Id": job.id})


@operation("generate", reply=GenerationView)
async def generate_status(request: web.Request) -> web.Response:
    """The job in the shape of the synchronous reply, with its pictures once it is complete."""
    jobs = request.app[JOBS]
    job = await jobs.get(request.match_info["job_id"], request[PRINCIPAL])
    return await asyncio.to_thread(_view_reply, request, job)


def _view_reply(request: web.Request, job: Job, headers: Mapping[str, str] | None = None) -> web.Response:
    """``{job_id, status, images: [{data, seed, parameters}], generation_time}``; data is base64 of the file. Blocks."""
    view: GenerationView = {
        "job_id": job.id,
        "status": job.state,
        "images": [],
        "generation_time": job.seconds,
        "reused": bool(job.reused_from),
    }
    if job.state is JobState.COMPLETED:
        folder = request.app[SETTINGS].output_dir
        for output in job.outputs:
            data = base64.b64encode(existing(folder, job.id, output.file).read_bytes()).decode()
            view["images"].append({"data": data, "seed": output.seed, "parameters": _used(job, output.seed)})
        view["warnings"] = list(job.warnings)
    else:
        view["progress"] = progress_view(request.app[JOBS].progress(job))
        view["error"] = job.failure.message if job.failure else None
    return json_reply(view, headers=headers)


def _used(job: Job, seed: int | None) -> dict[str, Any]:
    parameters = dict(job.parameters)
    parameters["batch_size"] = parameters.pop("batch_count", 1)
    return {**parameters, "model": job.model_name, "seed": seed}


@operation("generate", body=IMG2IMG.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def img2img(request: web.Request) -> web.Response:
    """Queue a picture made from another one.

    Width and height are the initial picture's when they are not given; ``outpaint`` paints beyond its borders.
    """
    return await _queued(request, IMG2IMG)


@operation("generate", body=INPAINTING.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def inpainting(request: web.Request) -> web.Response:
    """Queue repainting a part of a picture.

    White parts of ``mask_image`` are repainted, black ones kept; it is scaled to the picture. With ``outpaint`` it may be left out.
    """
    return await _queued(request, INPAINTING)


@operation("generate", body=CONTROLNET.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def controlnet(request: web.Request) -> web.Response:
    """Queue a picture guided by a ControlNet.

    With ``canny`` the library turns ``control_image`` into an edge picture first.
    """
    return await _queued(request, CONTROLNET)


@operation("generate", body=UPSCALE.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def upscale(request: web.Request) -> web.Response:
    """Queue enlarging a picture with an ESRGAN model.

    The model is repeated until ``upscale_factor`` is reached; what is too much is scaled down.
    """
    return await _queued(request, UPSCALE)


@operation("generate", body=VIDEO.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def video(request: web.Request) -> web.Response:
    """Queue a video from a prompt.

    With ``init_image`` it starts from that picture, with ``end_image`` it ends with that one; ``control_frames`` guide VACE models.
    """
    return await _queued(request, VIDEO)


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/generate/text2img", text2img),
    ("POST", "/generate", generate),
    ("GET", "/generate/{job_id}", generate_status),
    ("POST", "/generate/img2img", img2img),
    ("POST", "/generate/inpainting", inpainting),
    ("POST", "/generate/controlnet", controlnet),
    ("POST", "/generate/upscale", upscale),
    ("POST", "/generate/video", video),
)
