"""What comes of a job, for whoever asked for it: waiting for it in a synchronous request, why it gave nothing, and its files."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from aiohttp import web

from sdrest.core.errors import Cancelled, SdrestError, Unavailable, error_of
from sdrest.core.files import confined
from sdrest.core.job import Failure, Job, JobState, Output
from sdrest.jobs.worker import ENGINE_WORKER
from sdrest.settings import AuthMode
from sdrest.web.http.keys import ACCESS, JOBS, PRINCIPAL, SETTINGS, WORKERS
from sdrest.web.http.mounting import base_of
from sdrest.web.requests.audience import in_audience
from sdrest.web.requests.engine_views import engine_problem


async def wait_until_completed(request: web.Request, job: Job) -> Job:
    """The job when it is complete; see :func:`wait_until_ended`.

    Raises:
        SdrestError: it failed or was cancelled; see :func:`ending_as_error`.
        Unavailable: as :func:`wait_until_ended`.
    """
    done = await wait_until_ended(request, job)
    if done.state is not JobState.COMPLETED:
        raise ending_as_error(done)
    return done


async def wait_until_ended(request: web.Request, job: Job) -> Job:
    """The job when it has ended, however it did. When the client that asked for it goes away, it is cancelled after the grace.

    Raises:
        Unavailable: it has not ended within ``sync_timeout_seconds``; says why when that is for want of an engine.
    """
    async with in_audience(request, job):
        done = await request.app[JOBS].wait(job.id, request[PRINCIPAL], request.app[SETTINGS].sync_timeout_seconds)
    if not done.is_finished:
        why = "; ".join(waiting_warnings(request.app, done)) or "the job is not finished yet"
        raise Unavailable(f"{why}; fetch it at {base_of(request.app)}/api/v1/generate/{job.id}", job_id=job.id)
    return done


def waiting_warnings(app: web.Application, job: Job) -> list[str]:
    """Why a pending job does not come to its turn for now; nothing when only others are before it."""
    problem = engine_problem(app)
    needs_engine = any(job.type in worker.types for worker in app[WORKERS] if worker.name.startswith(ENGINE_WORKER))
    if not problem or job.state is not JobState.PENDING or not needs_engine:
        return []
    return [f"the job waits: {problem}"]


def ending_as_error(job: Job) -> SdrestError:
    """Why a job that failed or was cancelled gave nothing: the error that ended it, with its log lines, or :class:`Cancelled`."""
    failure = job.failure or Failure(slug=Cancelled.slug, message="the job was cancelled")
    error = error_of(failure.slug, failure.message)
    error.details["job_id"] = job.id
    error.log_tail = failure.log_tail
    return error


def pictures_of(job: Job) -> list[Output]:
    """The finished pictures of a job, in order."""
    return [output for output in job.outputs if output.media_type.startswith("image/")]


def read_output(request: web.Request, job: Job, output: Output) -> bytes:
    """The bytes of a finished file; blocks, so call it on a thread."""
    return confined(request.app[SETTINGS].output_dir, job.id, output.file).read_bytes()


def output_url(job_id: str, file: str) -> str:
    """Path of an output file, below the base path of this server."""
    return f"/api/v1/jobs/{job_id}/output/{quote(file)}"


def public_output_url(request: web.Request, job_id: str, file: str) -> str:
    """As :func:`output_url`, and good for a while without credentials: signed, when authentication is on."""
    url = output_url(job_id, file)
    if request.app[SETTINGS].auth is AuthMode.NONE:
        return url
    return f"{url}?{urlencode(request.app[ACCESS].signer.query(job_id, file), quote_via=quote)}"


def absolute_url(request: web.Request, job: Job, output: Output) -> str:
    """Where the client that asked can fetch a finished file; with authentication on, without credentials for a while."""
    return str(request.url.origin()) + base_of(request.app) + public_output_url(request, job.id, output.file)
