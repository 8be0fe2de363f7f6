"""Whose job is meant: that API knows one job and one client, this server has many of both.

A request that names no job means one of its caller's own, made through this dialect. Without sign-in all callers have one name, so
there the address that a job came from counts as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from sdrest.core.job import Job, JobState, JobType
from sdrest.jobs.listing import JobFilter
from sdrest.web.http.keys import JOBS, PRINCIPAL

DIALECT: Final = "a1111"
_LOOKED_AT: Final = 500
_PICTURE_TYPES: Final = frozenset(
    {JobType.TXT2IMG, JobType.IMG2IMG, JobType.INPAINT, JobType.CONTROLNET, JobType.UPSCALE, JobType.VIDEO}
)
_NOT_SIGNED_IN: Final = frozenset({"none", "guest"})


def origin_of(request: web.Request, task: str = "") -> dict[str, Any]:
    """What is kept of a request with its job, to find that again."""
    return {"peer": request.remote or "", **({"task_id": task} if task else {})}


def is_own(request: web.Request, job: Job) -> bool:
    """Whether the caller is who asked for the job."""
    who = request[PRINCIPAL]
    same_place = who.method not in _NOT_SIGNED_IN or job.origin.get("peer") == (request.remote or "")
    return job.principal == who.name and same_place


async def active_jobs(request: web.Request) -> list[Job]:
    """The pending and running picture jobs that the caller may see: its own of this dialect first, running before pending, oldest
    first.
    """
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
    jobs = {job.id: job for jobs in found for job in jobs}.values()
    return sorted(jobs, key=lambda job: not _is_own_here(request, job))


def looked_for(request: web.Request, jobs: Sequence[Job], name: str) -> Job | None:
    """The job, of :func:`active_jobs`, whose progress a client asks for: the named one; else its own; else what runs."""
    if name:
        return _named(jobs, name)
    own = [job for job in jobs if _is_own_here(request, job)]
    return next(iter(own), None) or next((job for job in jobs if job.state is JobState.RUNNING), None)


def to_be_stopped(request: web.Request, jobs: Sequence[Job], name: str) -> Job | None:
    """The job that a client wants stopped: the named one; else its own, made through this dialect, that runs."""
    if name:
        return _named(jobs, name)
    return next((job for job in jobs if job.state is JobState.RUNNING and _is_own_here(request, job)), None)


def _named(jobs: Sequence[Job], name: str) -> Job | None:
    return next((job for job in jobs if name in {job.id, job.origin.get("task_id")}), None)


def _is_own_here(request: web.Request, job: Job) -> bool:
    return job.origin.get("dialect") == DIALECT and is_own(request, job)
