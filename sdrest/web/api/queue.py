"""Looking at and changing the queue."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core import bounds
from sdrest.core.errors import Conflict, InvalidInput, NotFound
from sdrest.core.job import JobState, JobType
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter
from sdrest.web.api.generate import SUBMIT_ERRORS, Accepted, accepted
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, parse_query, read_body
from sdrest.web.http.keys import INTAKE, JOBS, PRINCIPAL, ROSTER
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import JobView, job_reply, job_view

#: Jobs that the status lists of each: running ones and pending ones.
_LISTED_JOBS: Final = 100


class CancelBody(Body):
    """The job to cancel."""

    job_id: str = Field(min_length=1, max_length=100, description="Id of a pending or running job.")


class QueueStatus(TypedDict):
    """The state of the queue and its active jobs, as far as the caller may see them; ``queue_length`` counts everybody's."""

    queue_length: int
    pending_count: int
    running_count: int
    completed_count: int
    failed_count: int
    cancelled_count: int
    total_count: int
    paused: bool
    current: JobView | None
    jobs: list[JobView]


class QueueQuery(Body):
    """Which jobs to list."""

    status: list[JobState] = Field(default_factory=list, description="Only jobs in these states.")
    type: list[JobType] = Field(default_factory=list, description="Only jobs of these types.")
    search: str = Field(
        "",
        max_length=500,
        description='Words and "phrases" of the prompt or the model\'s name; model:, seed: or lora: before one; - for not.',
    )
    model_id: str = Field("", max_length=500, description="Only jobs of this model.")
    before: datetime | None = Field(None, description="Only jobs submitted before this time.")
    after: datetime | None = Field(None, description="Only jobs submitted at or after this time.")
    with_outputs: bool = Field(False, description="Only jobs with finished files.")
    order: Literal["newest", "oldest"] = Field("newest", description="Which come first.")
    limit: int = Field(20, ge=1, le=200, description="Jobs on a page.")
    page: int | None = Field(None, ge=1, le=10**9, description="Page, from 1; not together with offset.")
    offset: int | None = Field(None, ge=0, le=10**12, description="Jobs to skip; not together with page.")


class QueuePage(TypedDict):
    """A page of jobs, and how many there are."""

    pending_count: int
    running_count: int
    completed_count: int
    failed_count: int
    cancelled_count: int
    total_count: int
    filtered_count: int
    paused: bool
    offset: int
    limit: int
    page: int
    total_pages: int
    has_more: bool
    has_prev: bool
    items: list[JobView]


class RemoveBody(Body):
    """Ended jobs to delete."""

    job_ids: list[str] = Field(min_length=1, max_length=bounds.JOB_IDS, description="Ids of ended jobs.")


class PriorityBody(Body):
    """A new priority."""

    priority: int = Field(ge=-100, le=100, description="Higher goes first; 0 is normal.")


class Removed(TypedDict):
    """How many jobs were deleted, and which were not."""

    success: bool
    deleted: int
    failed: int
    total: int
    failed_job_ids: list[str]


class Success(TypedDict):
    """It was done."""

    success: bool


class Paused(TypedDict):
    """Whether jobs are taken from the queue."""

    success: bool
    paused: bool


class CancelReply(TypedDict):
    """What became of the wish to cancel."""

    job_id: str
    status: Literal["cancelled", "cancelling"]
    success: bool


class Cleared(TypedDict):
    """How many pending jobs were cancelled."""

    success: bool
    cleared: int


@operation("queue", reply=JobView)
async def job(request: web.Request) -> web.Response:
    """A job in full, with its results."""
    found = await request.app[JOBS].get(request.match_info["job_id"], request[PRINCIPAL])
    return json_reply(await job_reply(request, found))


@operation("queue", reply=QueueStatus)
async def status(request: web.Request) -> web.Response:
    """The caller's jobs: how many, and which wait or run; all jobs, with the permission `manage_queue`.

    `queue_length` is the number of jobs that wait or run, whoever's they are.
    """
    jobs, principal, base = request.app[JOBS], request[PRINCIPAL], base_of(request.app)
    roster = request.app[ROSTER]
    counts = await jobs.counts(principal)
    running, pending = [
        await jobs.find(JobFilter(states=(state,), newest_first=False, limit=_LISTED_JOBS), principal)
        for state in (JobState.RUNNING, JobState.PENDING)
    ]
    return json_reply(
        {
            **{f"{state}_count": counts[state] for state in JobState},
            "total_count": sum(counts.values()),
            "queue_length": await jobs.queue_length(),
            "paused": await jobs.is_paused(),
            "current": job_view(base, running[0], jobs.progress(running[0])) if running else None,
            "jobs": [
                job_view(base, item, jobs.progress(item), waits_because=roster.problem_of(item))
                for item in (*running, *pending)
            ],
        }
    )


@operation("queue", body=CancelBody, reply=CancelReply, errors=(404, 409))
async def cancel(request: web.Request) -> web.Response:
    """Cancel a pending or running job."""
    body = await read_body(CancelBody, request)
    job_id = body.job_id
    try:
        after = await request.app[JOBS].cancel(job_id, request[PRINCIPAL])
    except (NotFound, Conflict) as error:
        error.details["job_id"] = job_id
        raise
    state = "cancelled" if after.state is JobState.CANCELLED else "cancelling"
    return json_reply({"job_id": job_id, "status": state, "success": True})


@operation("queue", reply=Cleared)
async def clear(request: web.Request) -> web.Response:
    """Cancel all pending jobs."""
    return json_reply({"success": True, "cleared": await request.app[JOBS].clear_pending(request[PRINCIPAL])})


@operation("queue", query=QueueQuery, reply=QueuePage)
async def listing(request: web.Request) -> web.Response:
    """List jobs, filtered and in pages. Only the caller's own, without the permission `manage_queue`."""
    query = parse_query(QueueQuery, request)
    if query.page is not None and query.offset is not None:
        raise InvalidInput("not together with offset", field="page")
    offset = query.offset if query.offset is not None else ((query.page or 1) - 1) * query.limit
    jobs, principal, base = request.app[JOBS], request[PRINCIPAL], base_of(request.app)
    roster = request.app[ROSTER]
    wanted = JobFilter(
        states=query.status,
        types=query.type,
        search=query.search,
        model_id=query.model_id,
        created_after=query.after,
        created_before=query.before,
        with_outputs=query.with_outputs,
        newest_first=query.order == "newest",
        limit=query.limit,
        offset=offset,
    )
    counts = await jobs.counts(principal)
    number = await jobs.count(wanted, principal)
    found = await jobs.find(wanted, principal)
    return json_reply(
        {
            **{f"{state}_count": counts[state] for state in JobState},
            "total_count": sum(counts.values()),
            "filtered_count": number,
            "paused": await jobs.is_paused(),
            "offset": offset,
            "limit": query.limit,
            "page": offset // query.limit + 1,
            "total_pages": -(-number // query.limit),
            "has_more": offset + len(found) < number,
            "has_prev": offset > 0,
            "items": [
                job_view(base, item, jobs.progress(item), waits_because=roster.problem_of(item)) for item in found
            ],
        }
    )


@operation("queue", reply=Success, errors=(409,))
async def remove(request: web.Request) -> web.Response:
    """Delete an ended job with its files."""
    await request.app[JOBS].remove(request.match_info["job_id"], request[PRINCIPAL])
    return json_reply({"success": True})


@operation("queue", body=RemoveBody, reply=Removed)
async def remove_many(request: web.Request) -> web.Response:
    """Delete ended jobs with their files; those that have not ended, or are not there, are named."""
    body = await read_body(RemoveBody, request)
    failed = []
    for job_id in body.job_ids:
        try:
            await request.app[JOBS].remove(job_id, request[PRINCIPAL])
        except (NotFound, Conflict):
            failed.append(job_id)
    total = len(body.job_ids)
    reply: Removed = {
        "success": not failed,
        "deleted": total - len(failed),
        "failed": len(failed),
        "total": total,
        "failed_job_ids": failed,
    }
    return json_reply(reply)


@operation("queue", reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def retry(request: web.Request) -> web.Response:
    """Queue an ended job again, as a new job with the same parameters and seed."""
    again = await request.app[INTAKE].retry(request.match_info["job_id"], request[PRINCIPAL])
    return accepted(request, again, await request.app[JOBS].store.position(again.id))


@operation("queue", body=PriorityBody, reply=JobView, errors=(409,))
@requires(Permission.MANAGE_QUEUE)
async def prioritise(request: web.Request) -> web.Response:
    """Change the priority of a pending job."""
    body = await read_body(PriorityBody, request)
    changed = await request.app[JOBS].prioritise(request.match_info["job_id"], body.priority, request[PRINCIPAL])
    return json_reply(await job_reply(request, changed))


@operation("queue", reply=Paused)
@requires(Permission.MANAGE_QUEUE)
async def pause(request: web.Request) -> web.Response:
    """Take no more jobs from the queue; the running one goes on. Survives a restart."""
    await request.app[JOBS].set_paused(True, request[PRINCIPAL])
    return json_reply({"success": True, "paused": True})


@operation("queue", reply=Paused)
@requires(Permission.MANAGE_QUEUE)
async def resume(request: web.Request) -> web.Response:
    """Take jobs from the queue again."""
    await request.app[JOBS].set_paused(False, request[PRINCIPAL])
    return json_reply({"success": True, "paused": False})


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/queue", listing),
    ("GET", "/jobs", listing),
    ("GET", "/jobs/{job_id}", job),
    ("DELETE", "/queue/jobs", remove_many),
    ("DELETE", "/queue/job/{job_id}", remove),
    ("DELETE", "/jobs/{job_id}", remove),
    ("POST", "/queue/job/{job_id}/retry", retry),
    ("POST", "/queue/job/{job_id}/priority", prioritise),
    ("POST", "/queue/pause", pause),
    ("POST", "/queue/resume", resume),
    ("GET", "/queue/job/{job_id}", job),
    ("GET", "/queue/status", status),
    ("POST", "/queue/cancel", cancel),
    ("POST", "/queue/clear", clear),
)
