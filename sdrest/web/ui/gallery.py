"""The Gallery: finished pictures and videos, one by one, and two side by side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.errors import InvalidInput
from sdrest.core.job import TERMINAL_STATES, Job, Output
from sdrest.core.model import MAIN_TYPES
from sdrest.core.principal import Permission
from sdrest.jobs.store import JobFilter
from sdrest.web.http.keys import JOBS, MODELS, PRINCIPAL
from sdrest.web.requests.model_care import output_of
from sdrest.web.ui.fields import Option, field_text, leaf_fields
from sdrest.web.ui.job_cards import parameter_rows, picture_of, pictures_of
from sdrest.web.ui.job_contexts import ComparePage, GalleryPage, PicturePage
from sdrest.web.ui.rendering import is_htmx, page, part, query_number, see
from sdrest.web.ui.tabs import TABS

GALLERY: Final = "/ui/gallery"
#: Jobs on one page of the gallery.
_PAGE_LENGTH: Final = 48
_LISTED_MODELS: Final = 300


async def show(request: web.Request) -> web.Response:
    """Finished pictures, newest first; for htmx only tiles, or with ``HX-Target: gallery`` a fresh list.

    Pages begin behind the last picture of the page before (``older``), so that what is made meanwhile moves none; ``newer`` asks
    for what was made since.
    """
    context = await _page(request)
    if is_htmx(request):
        whole = request.headers.get("HX-Target") == "gallery"
        return part(request, "parts/gallery.html" if whole else "parts/gallery_tiles.html", page=context)
    return page(request, "gallery.html", context)


async def show_picture(request: web.Request) -> web.Response:
    """One picture with everything that is known about it."""
    job, output = await output_of(request, f"{request.match_info['job_id']}/{request.match_info['file']}")
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
        query=address("", _sought(request).query),
        can_generate=request[PRINCIPAL].may(Permission.GENERATE),
    )
    return page(request, "picture.html", context)


async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a job with all of its files, and go on to the next older picture of those sought."""
    jobs, principal, job_id = request.app[JOBS], request[PRINCIPAL], request.match_info["job_id"]
    newer, older = await _neighbours(request, await jobs.get(job_id, principal))
    await jobs.remove(job_id, principal)
    return see(request, older or newer or address(GALLERY, _sought(request).query))


async def compare(request: web.Request) -> web.Response:
    """Two pictures side by side: ``?p=<job id>/<file>&p=<job id>/<file>``."""
    chosen = request.query.getall("p", [])
    if len(chosen) != 2:
        raise InvalidInput("choose exactly two pictures to compare", field="p")
    (left_job, left), (right_job, right) = [await output_of(request, item) for item in chosen]
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


@dataclass(frozen=True, slots=True)
class _Sought:
    """What the address of the gallery, or of a picture in it, restricts it to; ``query`` is that part of the address."""

    search: str
    model: str
    after: str
    before: str
    query: Mapping[str, str]

    def filter(self, **how: Any) -> JobFilter:
        """The jobs sought."""
        last = _day(self.before)
        return JobFilter(
            states=TERMINAL_STATES,
            with_outputs=True,
            search=self.search,
            model_id=self.model,
            created_after=_day(self.after),
            created_before=last + timedelta(days=1) if last else None,
            **how,
        )


def _sought(request: web.Request) -> _Sought:
    query = request.query
    found = {name: query.get(name, "") for name in ("search", "model", "after", "before")}
    found["search"] = found["search"].strip()[:200]
    return _Sought(**found, query={name: value for name, value in found.items() if value})


async def _neighbours(request: web.Request, job: Job) -> tuple[str, str]:
    """Addresses of the next newer and the next older job's first file among those sought; empty at the ends."""
    jobs, principal, sought = request.app[JOBS], request[PRINCIPAL], _sought(request)
    found = await asyncio.gather(
        jobs.find(sought.filter(newer_than=job.sequence, newest_first=False, limit=1), principal),
        jobs.find(sought.filter(older_than=job.sequence, limit=1), principal),
    )
    newer, older = (address(pictures_of(near[0])[0].detail, sought.query) if near else "" for near in found)
    return newer, older


async def _page(request: web.Request) -> GalleryPage:
    jobs, principal, sought = request.app[JOBS], request[PRINCIPAL], _sought(request)
    newer, older = query_number(request, "newer"), query_number(request, "older")
    wanted = sought.filter(newer_than=newer, older_than=older, limit=_PAGE_LENGTH + 1)
    found, total = await asyncio.gather(jobs.find(wanted, principal), jobs.count(sought.filter(), principal))
    shown = found[:_PAGE_LENGTH]
    more = {**sought.query, "older": str(shown[-1].sequence)} if len(found) > _PAGE_LENGTH else {}
    latest = shown[0].sequence if shown else newer
    mains = request.app[MODELS].catalogue.of_type(MAIN_TYPES)[:_LISTED_MODELS]
    return GalleryPage(
        pictures=tuple(picture for job in shown for picture in pictures_of(job)),
        total_jobs=total,
        search=sought.search,
        model=sought.model,
        models=tuple(Option(item.id, item.name) for item in mains),
        after=sought.after,
        before=sought.before,
        next_href=address(GALLERY, more) if more else "",
        newer_href=address(GALLERY, {**sought.query, "newer": str(latest)}) if latest and not older else "",
        query=address("", sought.query),
        is_filtered=bool(sought.query),
    )


def address(path: str, query: Mapping[str, str]) -> str:
    """A path with a query, where there is one."""
    return f"{path}?{urlencode(query)}" if query else path


def _day(text: str) -> datetime | None:
    """Midnight of an ISO date in UTC; None when it is none."""
    with contextlib.suppress(ValueError):
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    return None
