"""Live pages: one stream of Server-Sent Events for each open page."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from sdrest.core.events import (
    Event,
    JobChanged,
    JobPreviewed,
    JobProgressed,
    JobRemoved,
    ModelChanged,
    OutputMade,
    ServerStopping,
    is_visible,
)
from sdrest.web.http.keys import JOBS, PRINCIPAL, STREAMS
from sdrest.web.http.mounting import base_of
from sdrest.web.http.replies import json_text
from sdrest.web.requests.job_views import preview_view
from sdrest.web.requests.results import output_url
from sdrest.web.ui.filters import progress_text
from sdrest.web.ui.labels import JOB_LABELS, STATE_LABELS
from sdrest.web.ui.languages import _

_RETRY_MILLISECONDS: Final = 2000
#: The pages take a silence of more than twice this for a broken connection.
_BEAT_SECONDS: Final = 15.0


async def events(request: web.Request) -> web.StreamResponse:
    """All that the caller may see, in the pages' words: ``progress``, ``preview``, ``output``, ``job``, ``model``, ``beat``."""
    with request.app[STREAMS].one(request[PRINCIPAL].name):
        return await _stream(request)


async def _stream(request: web.Request) -> web.StreamResponse:
    jobs, principal, base = request.app[JOBS], request[PRINCIPAL], base_of(request.app)
    mine = jobs.broadcast.subscribe(lambda event: is_visible(event, principal))
    beats: asyncio.Task[None] | None = None
    try:
        async with sse_response(request) as stream:
            await stream.send("{}", event="hello", retry=_RETRY_MILLISECONDS)
            beats = asyncio.create_task(_beat(stream))
            with contextlib.suppress(ConnectionResetError):
                async for event in mine:
                    if message := _message(base, event):
                        name, data = message
                        await stream.send(json_text(data), event=name)
            return stream
    finally:
        if beats is not None:
            beats.cancel()
        jobs.broadcast.unsubscribe(mine)


async def _beat(stream: EventSourceResponse) -> None:
    """Say now and then that the stream is alive: a network that was cut says nothing."""
    with contextlib.suppress(ConnectionResetError):
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            await stream.send("{}", event="beat")


def _message(base: str, event: Event) -> tuple[str, dict[str, Any]] | None:
    """An event as the pages take it, None for one that they learn of otherwise."""
    match event:
        case JobProgressed(job_id=job_id, progress=progress):
            percent = round(100 * progress.fraction, 1)
            return "progress", {"job": job_id, "percent": percent, "text": progress_text(progress)}
        case JobPreviewed(job_id=job_id):
            return "preview", {"job": job_id, "image": preview_view(event)["image"]}
        case JobChanged(job=job):
            text = _("%(job)s: %(state)s", job=JOB_LABELS[job.type], state=STATE_LABELS[job.state].lower())
            return "job", {"job": job.id, "state": job.state, "text": text}
        case OutputMade(job_id=job_id, output=output):
            return "output", {"job": job_id, "url": base + output_url(job_id, output.file), "type": output.media_type}
        case JobRemoved(job_id=job_id):
            return "job", {"job": job_id, "state": "removed", "text": ""}
        case ModelChanged(model_name=name, state=state, fraction=fraction):
            return "model", {"model": name, "state": state, "percent": round(100 * fraction)}
        case ServerStopping():
            return None  # the stream ends, and the page connects again
        case _:
            return None  # between servers
