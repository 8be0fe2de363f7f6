"""Groups of jobs as the native API and the pages show them, and their contact sheets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web
from typing_extensions import TypedDict

from sdrest.core.group import Group
from sdrest.core.job import Job, JobState, Output
from sdrest.web.http.keys import GROUPS, JOBS, PRINCIPAL
from sdrest.web.requests.job_views import timestamp
from sdrest.web.requests.results import output_url


class AxisView(TypedDict):
    """What differs along one direction."""

    label: str
    values: list[str]


class CellView(TypedDict):
    """One place of a group: its value along each axis, and its job. `status` is `removed` when that was deleted."""

    place: int
    labels: list[str]
    job_id: str | None
    status: str
    fraction: float
    error: str | None
    url: str | None
    thumb_url: str | None


class GroupSummary(TypedDict):
    """A group without its cells."""

    group_id: str
    name: str
    created_at: str | None
    status: str
    fraction: float
    total: int
    counts: dict[str, int]
    axes: list[AxisView]
    is_list: bool
    links: dict[str, str]


class GroupView(GroupSummary):
    """A group with all its cells."""

    cells: list[CellView]


async def asked_group(request: web.Request) -> Group:
    """The group that the path names.

    Raises:
        NotFound: there is none that the caller may see.
    """
    return await request.app[GROUPS].get(request.match_info["group_id"], request[PRINCIPAL])


async def summary_of(request: web.Request, group: Group, base: str) -> GroupSummary:
    """A group without its cells; ``base`` as in :func:`view_of`."""
    return _summary(request, group, base, await request.app[GROUPS].jobs(group))


async def view_of(request: web.Request, group: Group, base: str) -> GroupView:
    """A group with its cells; ``base`` comes before its addresses. Pages, whose addresses get it later, give none."""
    jobs = await request.app[GROUPS].jobs(group)
    cells = [_cell(request, group, base, place, job) for place, job in enumerate(jobs)]
    return {**_summary(request, group, base, jobs), "cells": cells}


async def sheet_of(request: web.Request, group: Group, draw: Callable[[Group, Sequence[Path | None]], bytes]) -> bytes:
    """The contact sheet of a group, with what is finished by now."""
    files = request.app[JOBS].files
    pictures: list[Path | None] = []
    for job in await request.app[GROUPS].jobs(group):
        picture = _picture(job) if job else None
        pictures.append(files.output_folder(job.id) / picture.file if job and picture else None)

    def work() -> bytes:
        return draw(group, [path if path and path.is_file() else None for path in pictures])

    return await asyncio.to_thread(work)


def _picture(job: Job) -> Output | None:
    """What a sheet shows of a job: its first picture."""
    return next((output for output in job.outputs if output.media_type.startswith("image/")), None)


def _summary(request: web.Request, group: Group, base: str, jobs: Sequence[Job | None]) -> GroupSummary:
    states = [job.state for job in jobs if job]
    counts = {str(state): states.count(state) for state in JobState}
    progress = request.app[JOBS].progress
    done = sum(1.0 if job.is_finished else progress(job).fraction for job in jobs if job) + jobs.count(None)
    address = f"{base}/api/groups/{group.id}"
    return {
        "group_id": group.id,
        "name": group.name,
        "created_at": timestamp(group.created_at),
        "status": _status(states),
        "fraction": round(done / len(jobs), 4),
        "total": len(jobs),
        "counts": counts,
        "axes": [{"label": axis.label, "values": list(axis.values)} for axis in group.axes],
        "is_list": group.is_list,
        "links": {
            "self": address,
            "cancel": f"{address}/cancel",
            "retry": f"{address}/retry",
            "png": f"{address}/sheet.png",
            "html": f"{address}/sheet.html",
        },
    }


def _status(states: Sequence[JobState]) -> str:
    """Running as soon as one job is, or has been while others wait; then what is worst of the endings."""
    if JobState.RUNNING in states or (JobState.PENDING in states and {*states} != {JobState.PENDING}):
        return str(JobState.RUNNING)
    order = (JobState.PENDING, JobState.FAILED, JobState.CANCELLED)
    return str(next((state for state in order if state in states), JobState.COMPLETED))


def _cell(request: web.Request, group: Group, base: str, place: int, job: Job | None) -> CellView:
    picture = _picture(job) if job else None
    url = base + output_url(job.id, picture.file) if job and picture else None
    return {
        "place": place,
        "labels": list(group.labels(place)),
        "job_id": job.id if job else None,
        "status": str(job.state) if job else "removed",
        "fraction": request.app[JOBS].progress(job).fraction if job else 0.0,
        "error": job.failure.message if job and job.failure else None,
        "url": url,
        "thumb_url": f"{url}?thumb=1" if url else None,
    }
