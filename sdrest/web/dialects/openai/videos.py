"""OpenAI's video API: a job with another face. An id here is the job's id."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import Conflict, InvalidInput, NotFound
from sdrest.core.files import existing
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.parameters import VideoParameters
from sdrest.jobs.listing import JobFilter
from sdrest.web.dialects.openai.bodies import VideoBody, whole_number
from sdrest.web.dialects.openai.inputs import plain_values, read_request
from sdrest.web.dialects.openai.removal import remove
from sdrest.web.dialects.openai.repeats import submitted_once
from sdrest.web.http.keys import JOBS, PRINCIPAL, SETTINGS
from sdrest.web.http.operations import FORM, Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.submission import Mode

_ERROR: Final = dict[str, dict[str, Any]]
_STATES: Final = {
    JobState.PENDING: "queued",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "failed",
}
_VIDEO_FIELDS: Final = ("fps", "video_frames", "moe_boundary", "vace_strength", "video_format")
_MODE: Final = Mode.loose("openai", VideoParameters, {"width": "size", "height": "size", "video_frames": "seconds"})
_LIST_LIMIT: Final = 100
_MAX_RATE: Final = 120


@operation(
    "OpenAI",
    reply=dict[str, Any],
    body=VideoBody,
    body_type=FORM,
    files=("input_reference",),
    errors=(404, 409, 422, 507),
    error_schema=_ERROR,
)
async def create(request: web.Request) -> web.Response:
    """Queue a video. ``seconds`` sets the number of frames; every parameter may be sent beside OpenAI's own fields."""
    incoming = await read_request(request, VideoBody)
    body = incoming.body
    if not body.prompt.strip():
        raise InvalidInput("a prompt is needed", field="prompt")
    values = plain_values(request, body)
    values.pop("batch_count", None)
    beside = body.model_extra or {}
    values |= {name: beside[name] for name in _VIDEO_FIELDS if name in beside}
    values.setdefault("video_format", "mp4")
    if body.seconds is not None and "video_frames" not in values:
        # The architectures take 4n + 1 frames.
        values["video_frames"] = round(body.seconds * _rate(values) / 4) * 4 + 1
    first = incoming.pictures.get("image", ())[:1]
    pictures = {"init_image": [await asyncio.to_thread(item.convert, "RGB") for item in first]}
    job = await submitted_once(request, _MODE, values, incoming.digest, pictures=pictures)
    return json_reply(_view(request, job))


def _rate(values: Mapping[str, Any]) -> int:
    """Frames in a second."""
    try:
        return whole_number(values.get("fps", VideoParameters().fps), 1, _MAX_RATE)
    except ValueError as error:
        raise InvalidInput(str(error), field="fps") from None


@operation("OpenAI", reply=dict[str, Any], error_schema=_ERROR)
async def videos(request: web.Request) -> web.Response:
    """The caller's videos, newest first."""
    wanted = JobFilter(types=(JobType.VIDEO,), limit=_LIST_LIMIT)
    jobs = await request.app[JOBS].find(wanted, request[PRINCIPAL])
    ids = [job.id for job in jobs]
    body = {
        "object": "list",
        "data": [_view(request, job) for job in jobs],
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": False,
    }
    return json_reply(body)


@operation("OpenAI", reply=dict[str, Any], errors=(404,), error_schema=_ERROR)
async def video(request: web.Request) -> web.Response:
    """One video."""
    return json_reply(_view(request, await _job(request)))


@operation("OpenAI", reply=Reply(None, "video/mp4", "The file"), errors=(404, 409), error_schema=_ERROR)
async def content(request: web.Request) -> web.StreamResponse:
    """The finished file."""
    job = await _job(request)
    if job.state is not JobState.COMPLETED:
        raise Conflict(f"the video is {_STATES[job.state]}")
    output = job.outputs[0]
    path = await asyncio.to_thread(existing, request.app[SETTINGS].output_dir, job.id, output.file)
    return web.FileResponse(path, headers={"Content-Type": output.media_type})


@operation("OpenAI", reply=dict[str, Any], errors=(404, 409), error_schema=_ERROR)
async def delete(request: web.Request) -> web.Response:
    """Delete a video and its file; one that is not finished is cancelled first."""
    job = await _job(request)
    await remove(request, job)
    return json_reply({"id": job.id, "object": "video.deleted", "deleted": True})


async def _job(request: web.Request) -> Job:
    job = await request.app[JOBS].get(request.match_info["video_id"], request[PRINCIPAL])
    if job.type is not JobType.VIDEO:
        raise NotFound(f"no video {job.id}")
    return job


def _view(request: web.Request, job: Job) -> dict[str, Any]:
    parameters = job.parameters
    error = None
    if job.failure:
        error = {"code": job.failure.slug, "message": job.failure.message}
    elif job.state is JobState.CANCELLED:
        error = {"code": "cancelled", "message": "the job was cancelled"}
    return {
        "id": job.id,
        "object": "video",
        "status": _STATES[job.state],
        "progress": round(100 * request.app[JOBS].progress(job).fraction),
        "created_at": _timestamp(job.created_at),
        "completed_at": _timestamp(job.finished_at),
        "expires_at": None,
        "model": job.model_name,
        "prompt": parameters.get("prompt"),
        "seconds": f"{parameters.get('video_frames', 0) / max(1, parameters.get('fps', 1)):g}",
        "size": f"{parameters.get('width')}x{parameters.get('height')}",
        "remixed_from_video_id": None,
        "error": error,
    }


def _timestamp(when: datetime | None) -> int | None:
    return int(when.timestamp()) if when else None


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/v1/videos", create),
    ("GET", "/v1/videos", videos),
    ("GET", "/v1/videos/{video_id}", video),
    ("GET", "/v1/videos/{video_id}/content", content),
    ("DELETE", "/v1/videos/{video_id}", delete),
)
