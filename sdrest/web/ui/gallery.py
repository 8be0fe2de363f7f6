"""The Gallery: finished pictures and videos, one by one, and two side by side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.core.job import TERMINAL_STATES, Job, Output
from sdrest.core.model import MAIN_TYPES
from sdrest.jobs.store import JobFilter
from sdrest.web.http.keys import JOBS, MODELS, PRINCIPAL
from sdrest.web.ui.fields import Option, field_text, leaf_fields
from sdrest.web.ui.job_cards import parameter_rows, picture_of, pictures_of
from sdrest.web.ui.page_contexts import ComparePage, GalleryPage, PicturePage
from sdrest.web.ui.rendering import is_htmx, page, page_number, part, see
from sdrest.web.ui.tabs import TABS

#: Jobs on one page of the gallery.
_PAGE_LENGTH: Final = 48
_LISTED_MODELS: Final = 300


async def show(request: web.Request) -> web.Response:
    """Finished pictures, newest first; for htmx the next page's tiles, or with ``HX-Target: gallery`` a fresh list."""
    context = await _page(request)
    if is_htmx(request):
        whole = request.headers.get("HX-Target") == "gallery"
        return part(request, "parts/gallery.html" if whole else "parts/gallery_tiles.html", page=context)
    return page(request, "gallery.html", context)


async def show_picture(request: web.Request) -> web.Response:
    """One picture with everything that is known about it."""
    job, output = await _output(request, f"{request.match_info['job_id']}/{request.match_info['file']}")
    newer, older = await _neighbours(request, job)
    context = PicturePage(
        picture=picture_of(job, output),
        job=job,
        siblings=pictures_of(job) if len(job.outputs) > 1 else (),
        parameters=parameter_rows(job.parameters, model_name=job.model_name, defaults=_defaults(job)),
        infotext=output.infotext,
        size_bytes=output.size_bytes,
        previous=newer,
        next=older,
    )
    return page(request, "picture.html", context)


async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a job with all of its files."""
    await request.app[JOBS].remove(request.match_info["job_id"], request[PRINCIPAL])
    return see(request, "/ui/gallery")


async def compare(request: web.Request) -> web.Response:
    """Two pictures side by side: ``?p=<job id>/<file>&p=<job id>/<file>``."""
    chosen = request.query.getall("p", [])
    if len(chosen) != 2:
        raise InvalidInput("choose exactly two pictures to compare", field="p")
    (left_job, left), (right_job, right) = [await _output(request, item) for item in chosen]
    ours, theirs = _all_rows(left_job, left), _all_rows(right_job, right)
    rows = tuple(
        (name, ours.get(name, "–"), theirs.get(name, "–"), ours.get(name) != theirs.get(name))
        for name in dict.fromkeys((*ours, *theirs))
    )
    context = ComparePage(left=picture_of(left_job, left), right=picture_of(right_job, right), rows=rows)
    return page(request, "compare.html", context)


def _all_rows(job: Job, output: Output) -> dict[str, str]:
    rows = {"Prompt": str(job.parameters.get("prompt", ""))}
    if job.parameters.get("negative_prompt"):
        rows["Negative prompt"] = str(job.parameters["negative_prompt"])
    if output.seed is not None:
        rows["Seed"] = str(output.seed)
    return rows | dict(parameter_rows(job.parameters, model_name=job.model_name, defaults=_defaults(job)))


def _defaults(job: Job) -> Mapping[str, str]:
    """The form texts that jobs of this type have when nobody set anything."""
    table = next((tab.table for tab in TABS.values() if tab.job_type is job.type), None)
    return {name: field_text(item.default) for name, item, _ in leaf_fields(table)} if table else {}


async def _output(request: web.Request, name: str) -> tuple[Job, Output]:
    job_id, _, file = name.partition("/")
    job = await request.app[JOBS].get(job_id, request[PRINCIPAL])
    output = next((item for item in job.outputs if item.file == file), None)
    if output is None:
        raise NotFound(f"job {job_id} has no output {file!r}")
    return job, output


async def _neighbours(request: web.Request, job: Job) -> tuple[str, str]:
    """Addresses of the next newer and the next older job's first file; empty at the ends."""
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    moment = timedelta(microseconds=1)
    newer, older = await asyncio.gather(
        jobs.find(
            JobFilter(
                states=TERMINAL_STATES,
                with_outputs=True,
                created_after=job.created_at + moment,
                newest_first=False,
                limit=1,
            ),
            principal,
        ),
        jobs.find(
            JobFilter(states=TERMINAL_STATES, with_outputs=True, created_before=job.created_at, limit=1), principal
        ),
    )
    first, second = (pictures_of(found[0])[0].detail if found else "" for found in (newer, older))
    return first, second


async def _page(request: web.Request) -> GalleryPage:
    jobs, principal, query = request.app[JOBS], request[PRINCIPAL], request.query
    number = page_number(request)
    search, model = query.get("search", "").strip()[:200], query.get("model", "")
    after, before = _day(query.get("after", "")), _day(query.get("before", ""))
    wanted = JobFilter(
        states=TERMINAL_STATES,
        with_outputs=True,
        search=search,
        model_id=model,
        created_after=after,
        created_before=before + timedelta(days=1) if before else None,
        limit=_PAGE_LENGTH,
        offset=(number - 1) * _PAGE_LENGTH,
    )
    found, total = await asyncio.gather(jobs.find(wanted, principal), jobs.count(wanted, principal))
    kept = {"search": search, "model": model, "after": query.get("after", ""), "before": query.get("before", "")}
    kept = {name: value for name, value in kept.items() if value}
    more = number * _PAGE_LENGTH < total
    mains = request.app[MODELS].catalogue.of_type(MAIN_TYPES)[:_LISTED_MODELS]
    return GalleryPage(
        pictures=tuple(picture for job in found for picture in pictures_of(job)),
        total_jobs=total,
        search=search,
        model=model,
        models=tuple(Option(item.id, item.title or item.name) for item in mains),
        after=query.get("after", ""),
        before=query.get("before", ""),
        page=number,
        next_href="/ui/gallery?" + urlencode({**kept, "page": number + 1}) if more else "",
        is_filtered=bool(kept),
    )


def _day(text: str) -> datetime | None:
    """Midnight of an ISO date in UTC; None when it is none."""
    with contextlib.suppress(ValueError):
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    return None
