"""Waiting for a job in a synchronous request, and what a client is told when the job did not end well."""

from __future__ import annotations

from aiohttp import web

from sdrest.core.errors import SdrestError, Unavailable
from sdrest.core.job import Job, JobState
from sdrest.web.keys import JOBS, PRINCIPAL, SETTINGS


class JobEnded(SdrestError):
    """A synchronous request's job failed or was cancelled."""


async def wait_until_completed(request: web.Request, job: Job) -> Job:
    """The job when it is complete. A client that goes away loses nothing: the job goes on.

    Raises:
        JobEnded: it failed or was cancelled; has the slug and the log lines of the failure.
        Unavailable: it has not ended within ``sync_timeout_seconds``.
    """
    done = await request.app[JOBS].wait(job.id, request[PRINCIPAL], request.app[SETTINGS].sync_timeout_seconds)
    if done.state in {JobState.FAILED, JobState.CANCELLED}:
        raise ending_as_error(done)
    if not done.is_finished:
        raise Unavailable(f"the job is not finished yet; fetch it at /api/v1/generate/{job.id}", job_id=job.id)
    return done


def ending_as_error(job: Job) -> SdrestError:
    """Why a job that failed or was cancelled gave nothing."""
    error = JobEnded(job.failure.message if job.failure else "the job was cancelled", job_id=job.id)
    error.slug = job.failure.slug if job.failure else "cancelled"
    error.log_tail = job.failure.log_tail if job.failure else ()
    return error
