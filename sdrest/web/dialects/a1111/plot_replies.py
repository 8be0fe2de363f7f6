"""Replies to A1111's scripts that make many pictures: the grid first, then the pictures, with what is told of each."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from sdrest.core.group import Group
from sdrest.core.job import Job, JobState
from sdrest.outputs.sheets import png_sheet
from sdrest.web.dialects.a1111.plots import Plot
from sdrest.web.dialects.a1111.replies import info_of
from sdrest.web.http.keys import GROUPS, JOBS, MODELS, PRINCIPAL
from sdrest.web.http.replies import big_reply, json_text
from sdrest.web.requests.results import ending_as_error, pictures_of, read_output, wait_until_ended


async def made(request: web.Request, group: Group) -> list[Job]:
    """The jobs of a group after their end, by place; when one was cancelled, all that are left are.

    Raises:
        SdrestError: none has made a picture; why the first one has not.
    """
    groups = request.app[GROUPS]
    jobs = []
    for job in await groups.jobs(group):
        assert job is not None
        ended = await wait_until_ended(request, job)
        if ended.state is JobState.CANCELLED:
            await groups.cancel(group, request[PRINCIPAL])
        jobs.append(ended)
    if not any(pictures_of(job) for job in jobs):
        failed = [job for job in jobs if job.state is JobState.FAILED]
        if failed:
            raise ending_as_error(failed[0])
    return jobs


async def plot_reply(
    request: web.Request, group: Group, plot: Plot, jobs: Sequence[Job], echo: Mapping[str, Any], *, with_images: bool
) -> web.Response:
    """``{images, parameters, info}``: of an X/Y/Z plot the grid, its parts and pictures where asked; of prompts all pictures."""
    pictures = [(job, output) for job in jobs for output in pictures_of(job)[: None if plot.is_list else 1]]
    grids = [] if plot.is_list else await asyncio.to_thread(_grids, request, group, plot, jobs)
    shown = pictures if plot.is_list or plot.has_pictures else []
    images: list[str] = []
    if with_images:
        reading = [asyncio.to_thread(read_output, request, job, output) for job, output in shown]
        images = [base64.b64encode(data).decode() for data in (*grids, *await asyncio.gather(*reading))]
    first = pictures[0][0] if pictures else jobs[0]
    info = info_of(first, (), request.app[MODELS].catalogue.get(first.model_id))
    told = [*[(first, first.outputs[0])] * (len(grids) if first.outputs else 0), *shown]
    script = "".join(f", {name}: {value}" for name, value in plot.written.items())
    info |= {
        "all_prompts": [job.parameters["prompt"] for job, _ in told],
        "all_negative_prompts": [job.parameters["negative_prompt"] for job, _ in told],
        "all_seeds": [output.seed for _, output in told],
        "all_subseeds": [output.seed for _, output in told],
        "infotexts": [
            output.infotext + (script if index < len(grids) else "") for index, (_, output) in enumerate(told)
        ],
        "index_of_first_image": len(grids),
    }
    return await big_reply(
        {"images": images, "parameters": echo, "info": json_text(info)}, headers={"X-Group-Id": group.id}
    )


def _grids(request: web.Request, group: Group, plot: Plot, jobs: Sequence[Job]) -> list[bytes]:
    """The sheet of all, and where that is asked for one of each value of Z. Blocks."""
    files = request.app[JOBS].files
    paths: list[Path | None] = []
    for job in jobs:
        outputs = pictures_of(job)
        path = files.output_folder(job.id) / outputs[0].file if outputs else None
        paths.append(path if path and path.is_file() else None)
    sheets = [png_sheet(group, paths, has_legend=plot.has_legend)]
    if plot.has_sub_grids:
        part = dataclasses.replace(group, axes=group.axes[:2])
        size = part.places
        sheets += [
            png_sheet(part, paths[start : start + size], has_legend=plot.has_legend)
            for start in range(0, len(paths), size)
        ]
    return sheets
