"""A1111's view of what runs: progress, interrupt, skip.

That API knows one job. Here it is the one with the task id that the client names, else the caller's own running job, else the
running job that the caller may see.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import Conflict
from sdrest.core.job import Job, JobState, JobType, Phase
from sdrest.jobs.store import JobFilter
from sdrest.web.http.bodies import LooseBody, read_object
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route

_TASK_FIELDS: Final = ("force_task_id", "task_id", "id_task")
_LOOKED_AT: Final = 500
_PICTURE_TYPES: Final = frozenset(
    {JobType.TXT2IMG, JobType.IMG2IMG, JobType.INPAINT, JobType.CONTROLNET, JobType.UPSCALE, JobType.VIDEO}
)


async def active_jobs(request: web.Request) -> list[Job]:
    """The pending and running picture jobs that the caller may see, its own first, running before pending, oldest first."""
    name = request[PRINCIPAL].name
    # Its own are asked for by name: others' may be more than are looked at.
    found = [
        await request.app[JOBS].find(
            JobFilter(states=(state,), types=_PICTURE_TYPES, principal=owner, newest_first=False, limit=_LOOKED_AT),
            request[PRINCIPAL],
        )
        for owner in (name, None)
        for state in (JobState.RUNNING, JobState.PENDING)
    ]
    return list({job.id: job for jobs in found for job in jobs}.values())


def _task_id(fields: Mapping[str, Any]) -> str:
    return next((str(fields[name]) for name in _TASK_FIELDS if fields.get(name)), "")


def meant(jobs: list[Job], task_id: str) -> Job | None:
    """The job that a client means: the named one; without a name the first one, when it is running."""
    if task_id:
        return next((job for job in jobs if task_id in {job.id, job.origin.get("task_id")}), None)
    return next((job for job in jobs if job.state is JobState.RUNNING), None)


@operation("A1111", reply=dict[str, Any], error_schema=dict[str, Any])
async def progress(request: web.Request) -> web.Response:
    """How far the caller's job is.

    Idle is ``progress`` 0 with ``job_count`` 0. ``force_task_id`` in the query names a job.
    """
    active = await active_jobs(request)
    job = meant(active, _task_id(request.query))
    if job is None:
        return json_reply(_view(request, None, len(active), image=False))
    image = request.query.get("skip_current_image", "false").lower() not in {"true", "1"}
    return json_reply(_view(request, job, len(active), image=image))


def _view(request: web.Request, job: Job | None, count: int, *, image: bool) -> dict[str, Any]:
    jobs = request.app[JOBS]
    now = jobs.progress(job) if job else None
    sampling = now is not None and now.phase is Phase.SAMPLE
    interrupted = job is not None and job.cancel_requested_at is not None
    preview = jobs.preview(job) if job and image else None
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


@operation("A1111", reply=None, body=LooseBody, body_required=False, errors=(422,), error_schema=dict[str, Any])
async def interrupt(request: web.Request) -> web.Response:
    """Cancel the caller's job, running or, by its task id, waiting; nothing happens when there is none."""
    body = await read_object(request)
    job = meant(await active_jobs(request), _task_id({**request.query, **body}))
    if job is not None:
        with contextlib.suppress(Conflict):  # it ended in between
            await request.app[JOBS].cancel(job.id, request[PRINCIPAL])
    return json_reply({})


@operation("A1111", reply=dict[str, Any], body=LooseBody, errors=(422,), error_schema=dict[str, Any])
async def task_progress(request: web.Request) -> web.Response:
    """How far the job with the task id ``id_task`` is, as A1111's own page asks."""
    body = await read_object(request)
    task_id = _task_id(body)
    job = meant(await active_jobs(request), task_id) if task_id else None
    now = request.app[JOBS].progress(job) if job else None
    preview = request.app[JOBS].preview(job) if job and body.get("live_preview", True) else None
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
    ("POST", "/sdapi/v1/skip", interrupt),
    ("POST", "/internal/progress", task_progress),
)
