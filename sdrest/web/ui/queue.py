"""The Queue page, and a page for each job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.errors import Conflict, InvalidInput, NotFound
from sdrest.core.job import TERMINAL_STATES, Job, JobState, JobType
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.keys import INTAKE, JOBS, PRINCIPAL
from sdrest.web.requests.gallery import BIN
from sdrest.web.ui.fields import Option, field_text, leaf_fields
from sdrest.web.ui.job_cards import card_of, cards_of, parameter_rows
from sdrest.web.ui.job_contexts import JobPage, QueuePage
from sdrest.web.ui.labels import JOB_LABELS, STATE_LABELS
from sdrest.web.ui.rendering import is_htmx, page, page_number, part, see
from sdrest.web.ui.tabs import TABS
from sdrest.web.ui.turns import PRIORITY_BOUND, moved

QUEUE_PAGE: Final = "/ui/queue"
_PAGE_LENGTH: Final = 25
_PENDING: Final = JobFilter(states=(JobState.PENDING,), newest_first=False, limit=100)


async def show(request: web.Request) -> web.Response:
    """The queue, or for htmx only its lists."""
    context = await _page(request)
    if is_htmx(request):
        return part(request, "parts/queue_lists.html", page=context, is_new=True)
    return page(request, "queue.html", context)


async def show_job(request: web.Request) -> web.Response:
    """One job with its parameters, or for htmx only its card."""
    job = await request.app[JOBS].get(request.match_info["job_id"], request[PRINCIPAL])
    card = await card_of(request, job)
    if is_htmx(request):
        return part(request, "parts/job_card.html", card=card)
    table = next((tab.table for tab in TABS.values() if tab.job_type is job.type), None)
    defaults = {name: field_text(item.default) for name, item, _ in leaf_fields(table)} if table else {}
    rows = parameter_rows(job.parameters, model_name=job.model_name, defaults=defaults)
    return page(request, "job.html", JobPage(card=card, parameters=rows))


async def input_picture(request: web.Request) -> web.Response:
    """A picture that a job was given."""
    job_id, file = request.match_info["job_id"], request.match_info["file"]
    data = await request.app[JOBS].read_input(job_id, file, request[PRINCIPAL])
    return web.Response(body=data, content_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


async def cancel(request: web.Request) -> web.StreamResponse:
    """Cancel a job."""
    job_id = request.match_info["job_id"]
    await request.app[JOBS].cancel(job_id, request[PRINCIPAL])
    return await _after(request, job_id)


async def retry(request: web.Request) -> web.StreamResponse:
    """Queue an ended job again."""
    job = await request.app[INTAKE].retry(request.match_info["job_id"], request[PRINCIPAL])
    if is_htmx(request):
        return part(request, "parts/job_card.html", card=await card_of(request, job))
    return see(request, f"/ui/jobs/{job.id}")


@requires(Permission.MANAGE_QUEUE)
async def move(request: web.Request) -> web.StreamResponse:
    """Move a pending job: ``to=first`` before all others, ``to=up`` or ``to=down`` by one place."""
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    job = await jobs.get(request.match_info["job_id"], principal)
    match (await read_parts(request)).get("to"):
        case "first":
            highest = await jobs.store.highest_priority(besides=job.id) or 0
            changes = {job.id: min(PRIORITY_BOUND, highest + 1)}
        case "up":
            changes = moved([(item.id, item.priority) for item in await _waiting(request)], job.id, -1)
        case "down":
            changes = moved([(item.id, item.priority) for item in await _waiting(request)], job.id, 1)
        case _:
            raise InvalidInput("must be first, up or down", field="to")
    for job_id, priority in changes.items():
        # Of those that only make room, one may have begun meanwhile.
        with contextlib.suppress(*(() if job_id == job.id else (Conflict, NotFound))):
            await jobs.prioritise(job_id, priority, principal)
    return await _lists(request)


@requires(Permission.GENERATE)
async def delete(request: web.Request) -> web.StreamResponse:
    """Put the files of an ended job into the bin; one without any is removed."""
    gone = await request.app[BIN].throw_away_job(request.match_info["job_id"], request[PRINCIPAL])
    return await _lists(request, undo=[f"{item.job_id}/{item.file}" for item in gone])


@requires(Permission.MANAGE_QUEUE)
async def pause(request: web.Request) -> web.StreamResponse:
    """Pause or resume the queue."""
    await request.app[JOBS].set_paused((await read_parts(request)).get("paused") == "on", request[PRINCIPAL])
    return await _lists(request)


async def clear(request: web.Request) -> web.StreamResponse:
    """Cancel all waiting jobs that are the caller's to cancel."""
    await request.app[JOBS].clear_pending(request[PRINCIPAL])
    return await _lists(request)


async def _lists(request: web.Request, *, undo: Sequence[str] = ()) -> web.StreamResponse:
    if is_htmx(request):
        return part(request, "parts/queue_lists.html", page=await _page(request, undo), is_new=True)
    return see(request, f"{QUEUE_PAGE}?{urlencode([('undo', item) for item in undo])}" if undo else QUEUE_PAGE)


async def _after(request: web.Request, job_id: str) -> web.StreamResponse:
    if not is_htmx(request):
        return see(request, f"/ui/jobs/{job_id}")
    job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
    return part(request, "parts/job_card.html", card=await card_of(request, job))


async def _waiting(request: web.Request) -> list[Job]:
    """The waiting jobs, as far as they are listed, the oldest first."""
    return list(await request.app[JOBS].find(_PENDING, request[PRINCIPAL]))


async def _page(request: web.Request, undo: Sequence[str] = ()) -> QueuePage:
    jobs, principal, query = request.app[JOBS], request[PRINCIPAL], request.query
    state, kind, search = query.get("state", ""), query.get("type", ""), query.get("search", "").strip()[:200]
    number = page_number(request)
    states = TERMINAL_STATES
    types: tuple[JobType, ...] = ()
    with contextlib.suppress(ValueError):
        states = TERMINAL_STATES & {JobState(state)} or TERMINAL_STATES
    with contextlib.suppress(ValueError):
        types = (JobType(kind),)
    over = JobFilter(
        states=states, types=types, search=search, kept=True, limit=_PAGE_LENGTH, offset=(number - 1) * _PAGE_LENGTH
    )
    running, pending, pending_total, finished, total, counts = await asyncio.gather(
        jobs.find(JobFilter(states=(JobState.RUNNING,), newest_first=False), principal),
        _waiting(request),
        jobs.count(_PENDING, principal),
        jobs.find(over, principal),
        jobs.count(over, principal),
        jobs.counts(principal),
    )
    filters = {key: value for key, value in (("state", state), ("type", kind), ("search", search)) if value}
    return QueuePage(
        running=await cards_of(request, running),
        pending=await cards_of(request, sorted(pending, key=lambda job: -job.priority)),
        pending_total=pending_total,
        finished=await cards_of(request, finished),
        finished_total=total,
        counts={str(key): value for key, value in counts.items()},
        paused=await jobs.is_paused(),
        can_manage=principal.may(Permission.MANAGE_QUEUE),
        can_generate=principal.may(Permission.GENERATE),
        state=state,
        type=kind,
        search=search,
        states=tuple(Option(item, STATE_LABELS[item]) for item in JobState if item in TERMINAL_STATES),
        types=tuple(Option(item, JOB_LABELS[item]) for item in JobType),
        page=number,
        pages=max(1, -(-total // _PAGE_LENGTH)),
        here=f"{QUEUE_PAGE}?" + urlencode(filters) + ("&" if filters else ""),
        undo=[item[:200] for item in undo or request.query.getall("undo", ())[:50]],
    )
