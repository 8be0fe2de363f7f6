"""A1111's view of what runs: progress, interrupt, skip. Which job is meant: :mod:`sdrest.web.dialects.a1111.owners`."""

from __future__ import annotations

import base64
import contextlib
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import Conflict
from sdrest.core.events import JobPreviewed
from sdrest.core.job import Job, JobState, JobType, Phase
from sdrest.web.dialects.a1111.bodies import ProgressQuery, Task
from sdrest.web.dialects.a1111.owners import active_jobs, is_own, looked_for, to_be_stopped
from sdrest.web.http.bodies import parse_query, read_body, read_object, validate
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route


@operation("A1111", reply=dict[str, Any], query=ProgressQuery, errors=(422,), error_schema=dict[str, Any])
async def progress(request: web.Request) -> web.Response:
    """How far the caller's job is.

    Idle is ``progress`` 0 with ``job_count`` 0. ``force_task_id`` in the query names a job.
    """
    asked = parse_query(ProgressQuery, request)
    active = await active_jobs(request)
    job = looked_for(request, active, asked.name)
    return json_reply(_view(request, job, len(active), image=not asked.skip_current_image))


def _view(request: web.Request, job: Job | None, count: int, *, image: bool) -> dict[str, Any]:
    now = request.app[JOBS].progress(job) if job else None
    sampling = now is not None and now.phase is Phase.SAMPLE
    interrupted = job is not None and job.cancel_requested_at is not None
    preview = _preview(request, job) if image else None
    return {
        "progress": now.fraction if now else 0.0,
        "eta_relative": (now.eta_seconds if now else None) or 0.0,
        "state": {
            "skipped": False,
            "interrupted": interrupted,
            "stopping_generation": interrupted,
            "job": str(job.origin.get("task_id") or job.id) if job else "",
            "job_count": count,
            "job_timestamp": job.created_at.strftime("%Y%m%d%H%M%S") if job else "0",
            "job_no": max(0, now.image - 1) if now else 0,
            "sampling_step": now.step if now and sampling else 0,
            "sampling_steps": int(job.parameters.get("steps", 0)) if job else 0,
        },
        "current_image": base64.b64encode(preview.jpeg).decode() if preview else None,
        "textinfo": str(now.phase) if now else None,
    }


def _preview(request: web.Request, job: Job | None) -> JobPreviewed | None:
    """The newest preview, for who asked for the job. Previews are made from when somebody looks."""
    return request.app[JOBS].watch(job) if job is not None and is_own(request, job) else None


@operation("A1111", reply=None, body=Task, body_required=False, errors=(422,), error_schema=dict[str, Any])
async def interrupt(request: web.Request) -> web.Response:
    """Stop the caller's job, running or, by its task id, waiting; nothing happens when there is none.

    Who waits for it gets what is finished, with the last preview of the picture that was being made.
    """
    named = validate(Task, {**request.query, **await read_object(request)}).name
    job = to_be_stopped(request, await active_jobs(request), named)
    if job is not None:
        await _stop(request, job)
    return json_reply({})


@operation("A1111", reply=None, body=Task, body_required=False, errors=(422,), error_schema=dict[str, Any])
async def skip(request: web.Request) -> web.Response:
    """Leave the picture that the caller's job makes now out, and go on with its next one; a job of one picture is stopped."""
    named = validate(Task, {**request.query, **await read_object(request)}).name
    job = to_be_stopped(request, await active_jobs(request), named)
    if job is not None:
        is_batch = job.type is not JobType.VIDEO and int(job.parameters.get("batch_count", 1)) > 1
        if is_batch and job.state is JobState.RUNNING:
            request.app[JOBS].skip(job, max(1, request.app[JOBS].progress(job).image))
        else:
            await _stop(request, job)
    return json_reply({})


async def _stop(request: web.Request, job: Job) -> None:
    with contextlib.suppress(Conflict):  # it ended in between
        await request.app[JOBS].cancel(job.id, request[PRINCIPAL])


@operation("A1111", reply=dict[str, Any], body=Task, errors=(422,), error_schema=dict[str, Any])
async def task_progress(request: web.Request) -> web.Response:
    """How far the job with the task id ``id_task`` is, as A1111's own page asks."""
    body = await read_body(Task, request)
    job = looked_for(request, await active_jobs(request), body.name) if body.name else None
    now = request.app[JOBS].progress(job) if job else None
    preview = _preview(request, job) if body.live_preview else None
    return json_reply(
        {
            "active": job is not None and job.state is JobState.RUNNING,
            "queued": job is not None and job.state is JobState.PENDING,
            "completed": job is None,
            "progress": now.fraction if now else None,
            "eta": now.eta_seconds if now else None,
            "live_preview": "data:image/jpeg;base64," + base64.b64encode(preview.jpeg).decode() if preview else None,
            "id_live_preview": preview.step if preview else -1,
            "textinfo": str(now.phase) if now else "Waiting...",
        }
    )


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/sdapi/v1/progress", progress),
    ("POST", "/sdapi/v1/interrupt", interrupt),
    ("POST", "/sdapi/v1/skip", skip),
    ("POST", "/internal/progress", task_progress),
)
