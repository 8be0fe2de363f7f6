"""What a picture came from, and what came of it, by the native API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.job import Job, JobType, Output
from sdrest.jobs.family import Presence, ancestors, descendants
from sdrest.web.http.bodies import Body, parse_query
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import ImageView, image_view
from sdrest.web.requests.model_care import output_of


class FamilyQuery(Body):
    """How much of what came of it."""

    limit: int = Field(48, ge=1, le=200, description="Jobs that came of it on a page.")
    cursor: int | None = Field(None, ge=0, le=10**15, description="`next` of the page before.")


class Relative(TypedDict):
    """A job that a picture came from, or that came of it, with the files that are meant.

    ``relation`` is what the earlier picture is for the later one: the parameter that it was given as (``init_image``,
    ``ref_images``, ``image`` …), or ``parameters`` where only these are the same.
    """

    relation: str
    state: Presence
    job_id: str
    type: JobType | None
    prompt: str
    files: list[ImageView]


class FamilyView(TypedDict):
    """``next`` is the ``cursor`` of more that came of it, null at the end."""

    came_from: list[Relative]
    came_of: list[Relative]
    next: int | None


@operation("outputs", query=FamilyQuery, reply=FamilyView)
async def family(request: web.Request) -> web.Response:
    """What a file was made from, and what was made from it since (newest first): given as a picture, or with the same parameters.

    What it was made from is told even when that was deleted; `state` says so.
    """
    query = parse_query(FamilyQuery, request)
    job, output = await output_of(request, "{job_id}/{filename}".format_map(request.match_info))
    jobs, principal, base = request.app[JOBS], request[PRINCIPAL], base_of(request.app)
    came_of = await descendants(jobs, job, output, principal, limit=query.limit + 1, older_than=query.cursor)
    shown, is_more = came_of[: query.limit], len(came_of) > query.limit
    view: FamilyView = {
        "came_from": [
            _relative(base, item.relation, item.presence, item.job_id, item.job, [item.output] if item.output else [])
            for item in await ancestors(jobs, job, principal)
        ],
        "came_of": [
            _relative(base, item.relation, Presence.THERE, item.job.id, item.job, item.job.outputs) for item in shown
        ],
        "next": shown[-1].job.sequence if is_more else None,
    }
    return json_reply(view)


def _relative(
    base: str, relation: str, state: Presence, job_id: str, job: Job | None, outputs: Sequence[Output]
) -> Relative:
    return {
        "relation": relation,
        "state": state,
        "job_id": job_id,
        "type": job.type if job else None,
        "prompt": str(job.parameters.get("prompt", "")) if job else "",
        "files": [image_view(base, job_id, output) for output in outputs],
    }


ROUTES: Final[tuple[Route, ...]] = (("GET", "/jobs/{job_id}/output/{filename}/family", family),)
