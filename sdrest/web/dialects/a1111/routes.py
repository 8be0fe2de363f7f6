"""The AUTOMATIC1111 API under ``/sdapi/v1``: making pictures, and reading what is written in them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import Unsupported
from sdrest.core.events import JobPreviewed, OutputMade
from sdrest.core.group import Group
from sdrest.core.job import Job, JobState
from sdrest.outputs.written.reading import read_written
from sdrest.web.dialects.a1111 import plot_replies, replies
from sdrest.web.dialects.a1111.bodies import Image2Image, Text2Image, WrittenPicture
from sdrest.web.dialects.a1111.options import stored_options
from sdrest.web.dialects.a1111.plots import Plot, plot_of, script_named
from sdrest.web.dialects.a1111.request import GENERATION, asked_by
from sdrest.web.http.bodies import LooseBody, read_body, read_object, understandable, validate
from sdrest.web.http.keys import JOBS, SETTINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import big_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.grouping import submitted_group
from sdrest.web.requests.pictures import read_picture_file
from sdrest.web.requests.results import ending_as_error, wait_until_ended
from sdrest.web.requests.submission import submitted

ERROR: Final = dict[str, Any]
SUBMIT_ERRORS: Final = (404, 409, 422, 507)


@operation("A1111", reply=dict[str, Any], body=Text2Image, errors=SUBMIT_ERRORS, error_schema=ERROR)
async def txt2img(request: web.Request) -> web.Response:
    """Make pictures from a prompt, with the hires fix and ControlNet if asked."""
    return await _answered(request, Text2Image)


@operation("A1111", reply=dict[str, Any], body=Image2Image, errors=SUBMIT_ERRORS, error_schema=ERROR)
async def img2img(request: web.Request) -> web.Response:
    """Make pictures from a picture, with a mask if given.

    With a mask, what it leaves out stays as it is, byte for byte.
    """
    return await _answered(request, Image2Image)


async def _answered(request: web.Request, kind: type[Text2Image | Image2Image]) -> web.Response:
    asked = await _submitted(request, kind)
    if isinstance(asked.work, Job):
        return await _made(request, asked.work, asked.with_images, asked.echo)
    group, plot = asked.work
    jobs = await plot_replies.made(request, group)
    return await plot_replies.plot_reply(request, group, plot, jobs, asked.echo, with_images=asked.with_images)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was stored, whether its pictures are sent, and what the reply repeats of the request."""

    work: Job | tuple[Group, Plot]
    with_images: bool
    echo: Mapping[str, Any]


async def _submitted(request: web.Request, kind: type[Text2Image | Image2Image]) -> _Asked:
    """Store what a body asks for; body and pictures are let go with this."""
    sent = await read_object(request)
    body = validate(kind, sent)
    script = script_named(body.script_name)
    route = "txt2img" if kind is Text2Image else "img2img"
    with understandable():
        asked = await asked_by(request, body, await stored_options(request))
        plot = plot_of(script, body.script_args, asked.values, route) if script else None
    work: Job | tuple[Group, Plot]
    if plot is None:
        work = await submitted(
            request, GENERATION, asked.values, pictures=asked.pictures, origin=asked.origin, warnings=asked.warnings
        )
    else:
        group = await submitted_group(
            request,
            GENERATION,
            body.script_name,
            plot.axes,
            plot.cells,
            is_list=plot.is_list,
            pictures=asked.pictures,
            origin=asked.origin,
            warnings=asked.warnings,
        )
        work = group, plot
    return _Asked(work, body.send_images, replies.echo_of(sent, whole=body.include_init_images))


async def _made(request: web.Request, job: Job, with_images: bool, echo: Mapping[str, Any]) -> web.Response:
    """The pictures. Of an interrupted job those that were finished, and the last preview of the one that was being made."""
    events = request.app[JOBS].broadcast.subscribe(
        lambda event: isinstance(event, JobPreviewed | OutputMade) and event.job_id == job.id
    )
    try:
        ended = await wait_until_ended(request, job)
    finally:
        request.app[JOBS].broadcast.unsubscribe(events)
    if ended.state is JobState.FAILED:
        raise ending_as_error(ended)
    last = [event async for event in events][-1:] if ended.state is JobState.CANCELLED else []
    unfinished = [event.jpeg for event in last if isinstance(event, JobPreviewed)]
    return await replies.images_reply(request, ended, echo, unfinished, with_images=with_images)


@operation("A1111", reply=dict[str, Any], body=WrittenPicture, errors=(422,), error_schema=ERROR)
async def png_info(request: web.Request) -> web.Response:
    """The parameters written into a picture, those of ComfyUI, InvokeAI, NovelAI and SwarmUI in A1111's words."""
    body = await read_body(WrittenPicture, request)
    data = await read_picture_file(request, body.image, field="image")
    found = await asyncio.to_thread(read_written, data, max_pixels=request.app[SETTINGS].max_image_pixels)
    items = dict(found.texts) | ({"parameters": found.infotext} if found.infotext else {})
    return await big_reply({"info": found.infotext, "items": items, "parameters": found.parts})


@operation("A1111", reply=dict[str, Any], body=LooseBody, errors=(422,), error_schema=ERROR)
async def interrogate(request: web.Request) -> web.Response:
    """Refused: there is no model here that describes pictures."""
    await read_object(request)
    raise Unsupported("pictures are not described here (interrogate): the native library has no model for it")


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/sdapi/v1/txt2img", txt2img),
    ("POST", "/sdapi/v1/img2img", img2img),
    ("POST", "/sdapi/v1/png-info", png_info),
    ("POST", "/sdapi/v1/interrogate", interrogate),
)
