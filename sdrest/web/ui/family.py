"""What a picture came from, and what came of it, as a strip of small pictures."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sdrest.core.job import Job, Output
from sdrest.jobs.family import PARAMETERS, Ancestor, Descendant, ancestors, descendants
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.requests.model_care import output_of
from sdrest.web.ui.job_cards import picture_of
from sdrest.web.ui.job_contexts import Family, Relative
from sdrest.web.ui.labels import JOB_LABELS, PRESENCE_LABELS, field_label
from sdrest.web.ui.languages import _
from sdrest.web.ui.rendering import part

#: What came of it, on one strip.
_MOST: Final = 24


async def show(request: web.Request) -> web.Response:
    """The strip of one picture."""
    job, output = await output_of(request, "{job_id}/{file}".format_map(request.match_info))
    return part(request, "parts/family.html", family=await family_of(request, job, output))


async def family_of(request: web.Request, job: Job, output: Output) -> Family:
    """What a file of a job came from, and what came of it."""
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    came_of = await descendants(jobs, job, output, principal, limit=_MOST + 1)
    return Family(
        came_from=tuple(_source(item) for item in await ancestors(jobs, job, principal)),
        came_of=tuple(_result(item) for item in came_of[:_MOST]),
        has_more=len(came_of) > _MOST,
    )


def _source(item: Ancestor) -> Relative:
    title = _("Same parameters") if item.relation == PARAMETERS else field_label(item.relation)
    shown = picture_of(item.job, item.output) if item.job and item.output else None
    return Relative(title=title, picture=shown, missing=PRESENCE_LABELS.get(item.presence, ""))


def _result(item: Descendant) -> Relative:
    job = item.job
    title = _("Variation") if item.relation == PARAMETERS else JOB_LABELS[job.type]
    return Relative(title=title, picture=picture_of(job, job.outputs[0]), others=len(job.outputs) - 1)
