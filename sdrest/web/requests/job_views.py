"""Jobs as the native API shows them."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, NotRequired

import msgspec
from aiohttp import web
from typing_extensions import TypedDict

from sdrest.core.events import JobPreviewed
from sdrest.core.job import Job, JobState, JobType, Output, Phase, Progress
from sdrest.web.http.keys import JOBS, ROSTER
from sdrest.web.http.mounting import base_of
from sdrest.web.requests.results import output_url


class ProgressView(TypedDict):
    """How far a job is; ``stage`` is the phase under the contract's name for it. Bytes are told of work on files only."""

    stage: Phase
    step: int
    total_steps: int
    percent: float
    fraction: float
    image: int
    images: int
    eta_seconds: float | None
    done_bytes: int | None
    total_bytes: int | None
    bytes_per_second: float | None


class PreviewView(TypedDict):
    """A picture on its way; ``image`` is a ``data:`` URL of a JPEG file."""

    step: int
    width: int
    height: int
    image: str


class ImageView(TypedDict):
    """One finished picture of a job."""

    filename: str
    url: str
    thumb_url: str
    media_type: str
    seed: int | None
    width: int
    height: int
    size_bytes: int


class ModelName(TypedDict):
    """The model of a job."""

    id: str
    name: str


class FailureView(TypedDict):
    """Why a job failed, with the last words of the native library."""

    slug: str
    message: str
    log_tail: tuple[str, ...]


class JobView(TypedDict):
    """A job in full."""

    job_id: str
    type: JobType
    status: JobState
    progress: ProgressView
    position: int | None
    priority: int
    attempt: int
    created_at: str | None
    started_at: str | None
    completed_at: str | None
    cancel_requested: bool
    waits_for: list[str]
    waits_because: str | None
    params: dict[str, Any]
    model: ModelName
    outputs: list[str]
    output_urls: list[str]
    images: list[ImageView]
    generation_time: float | None
    reused: bool
    warnings: list[str]
    error: str | None
    failure: NotRequired[FailureView]


class Links(TypedDict):
    """Where to go on from a submitted job."""

    self: str
    events: str
    cancel: str


def timestamp(when: datetime | None) -> str | None:
    """ISO-8601 in UTC with a Z, as the contract writes times."""
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z") if when else None


def image_view(base: str, job_id: str, output: Output) -> ImageView:
    """One output of a job; ``base`` comes before its addresses (:func:`~sdrest.web.http.mounting.base_of`)."""
    url = base + output_url(job_id, output.file)
    return {
        "filename": output.file,
        "url": url,
        "thumb_url": f"{url}?thumb=1",
        "media_type": output.media_type,
        "seed": output.seed,
        "width": output.width,
        "height": output.height,
        "size_bytes": output.size_bytes,
    }


def preview_view(preview: JobPreviewed) -> PreviewView:
    """A preview picture."""
    return {
        "step": preview.step,
        "width": preview.width,
        "height": preview.height,
        "image": "data:image/jpeg;base64," + base64.b64encode(preview.jpeg).decode(),
    }


def progress_view(progress: Progress) -> ProgressView:
    """How far a job is."""
    return {
        "stage": progress.phase,
        "step": progress.step,
        "total_steps": progress.steps,
        "percent": round(100 * progress.fraction, 1),
        "fraction": progress.fraction,
        "image": progress.image,
        "images": progress.images,
        "eta_seconds": progress.eta_seconds,
        "done_bytes": progress.done_bytes,
        "total_bytes": progress.total_bytes,
        "bytes_per_second": progress.bytes_per_second,
    }


def job_view(
    base: str, job: Job, progress: Progress, position: int | None = None, *, waits_because: str = ""
) -> JobView:
    """A job in full; ``base`` as in :func:`image_view`. ``waits_because``: why no engine can take it at the moment."""
    outputs = job.outputs
    view: JobView = {
        "job_id": job.id,
        "type": job.type,
        "status": job.state,
        "progress": progress_view(progress),
        "position": position,
        "priority": job.priority,
        "attempt": job.attempt,
        "created_at": timestamp(job.created_at),
        "started_at": timestamp(job.started_at),
        "completed_at": timestamp(job.finished_at),
        "cancel_requested": job.cancel_requested_at is not None,
        "waits_for": list(job.waits_for),
        "waits_because": waits_because or None,
        "params": job.parameters,
        "model": {"id": job.model_id, "name": job.model_name},
        "outputs": [output.file for output in outputs],
        "output_urls": [base + output_url(job.id, output.file) for output in outputs],
        "images": [image_view(base, job.id, output) for output in outputs if output.media_type.startswith("image/")],
        "generation_time": job.seconds,
        "reused": bool(job.reused_from),
        "warnings": list(job.warnings),
        "error": job.failure.message if job.failure else None,
    }
    if job.failure:
        failure = job.failure
        view["failure"] = {"slug": failure.slug, "message": failure.message, "log_tail": failure.log_tail}
    return view


async def job_reply(request: web.Request, job: Job) -> JobView:
    """A job in full, with its place in the queue."""
    jobs = request.app[JOBS]
    position = await jobs.store.position(job.id) if job.state is JobState.PENDING else None
    problem = request.app[ROSTER].problem_of(job)
    return job_view(base_of(request.app), job, jobs.progress(job), position, waits_because=problem)


def links(request: web.Request, job_id: str) -> Links:
    """Where to go on from a submitted job."""
    base = base_of(request.app)
    return {
        "self": f"{base}/api/queue/job/{job_id}",
        "events": f"{base}/api/jobs/{job_id}/events",
        "cancel": f"{base}/api/queue/cancel",
    }


def webhook_body(base: str, job: Job) -> bytes:
    """What a webhook is told of an ended job: ``{"event": "job.completed", "job": {…}}``; ``base`` as in :func:`image_view`."""
    return msgspec.json.encode({"event": f"job.{job.state}", "job": job_view(base, job, Progress(fraction=1.0))})
