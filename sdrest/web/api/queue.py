"""Looking at and changing the queue."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from aiohttp import web
from pydantic import Field, create_model
from typing_extensions import TypedDict

from sdrest.core.errors import Conflict, NotFound
from sdrest.core.job import Job, JobState
from sdrest.jobs.store import JobFilter
from sdrest.web.bodies import Body, parse_json, validate
from sdrest.web.keys import JOBS, PRINCIPAL
from sdrest.web.operations import operation
from sdrest.web.replies import json_reply
from sdrest.web.routing import Route
from sdrest.web.views import JobView, job_reply, job_view

#: Jobs that the status lists: the running ones and the next in turn.
_LISTED_JOBS: Final = 100

CancelBody: Final = create_model(
    "Cancel",
    __base__=Body,
    job_id=(str, Field(min_length=1, max_length=100, description="Id of a pending or running job.")),
)


class QueueStatus(TypedDict):
    """The state of the queue and its active jobs."""

    pending_count: int
    running_count: int
    completed_count: int
    failed_count: int
    cancelled_count: int
    total_count: int
    paused: bool
    current: JobView | None
    jobs: list[JobView]


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
    """The state of the queue and its active jobs."""
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    counts = await jobs.store.counts()
    active = JobFilter(states=(JobState.PENDING, JobState.RUNNING), newest_first=False, limit=_LISTED_JOBS)
    listed: list[Job] = list(await jobs.find(active, principal))
    running = [item for item in listed if item.state is JobState.RUNNING]
    return json_reply(
        {
            **{f"{state}_count": counts[state] for state in JobState},
            "total_count": sum(counts.values()),
            "paused": jobs.paused,
            "current": job_view(running[0], jobs.progress(running[0])) if running else None,
            "jobs": [job_view(item, jobs.progress(item)) for item in listed],
        }
    )


@operation("queue", body=CancelBody, reply=CancelReply, errors=(404, 409))
async def cancel(request: web.Request) -> web.Response:
    """Cancel a pending or running job."""
    body = await asyncio.to_thread(validate, CancelBody, parse_json(await request.read()))
    job_id: str = body.job_id  # type: ignore[attr-defined]
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


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/queue/job/{job_id}", job),
    ("GET", "/queue/status", status),
    ("POST", "/queue/cancel", cancel),
    ("POST", "/queue/clear", clear),
)
