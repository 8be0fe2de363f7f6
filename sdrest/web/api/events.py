"""Live events: Server-Sent Events for one job, a WebSocket for everything the caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import WSMsgType, web
from aiohttp_sse import sse_response

from sdrest.core import bounds
from sdrest.core.events import (
    Event,
    JobChanged,
    JobPreviewed,
    JobProgressed,
    ModelChanged,
    OutputMade,
    ServerStopping,
    is_visible,
    job_of,
)
from sdrest.core.job import Job
from sdrest.web.http.keys import JOBS, PRINCIPAL, STREAMS
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import json_text
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import image_view, job_reply, job_view, preview_view, progress_view, timestamp

_HEARTBEAT_SECONDS: Final = 20.0


@operation("events", reply=Reply(None, "text/event-stream", "A stream of events"))
async def job_events(request: web.Request) -> web.StreamResponse:
    """Server-Sent Events of one job: ``snapshot``, then ``progress``, ``preview``, ``output``, ``state``; ends with the job."""
    with request.app[STREAMS].one(request[PRINCIPAL].name):
        return await _stream_job(request)


async def _stream_job(request: web.Request) -> web.StreamResponse:
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    job_id = request.match_info["job_id"]
    events = jobs.broadcast.subscribe(lambda event: job_of(event) == job_id)
    try:
        job = await jobs.get(job_id, principal)
        async with sse_response(request) as stream:
            await stream.send(json_text(await job_reply(request, job)), event="snapshot")
            if job.is_finished:
                return stream
            async for event in events:
                name, data = _sse_event(request, event)
                await stream.send(json_text(data), event=name)
                if isinstance(event, JobChanged) and event.job.is_finished:
                    break
            return stream
    finally:
        jobs.broadcast.unsubscribe(events)


def _sse_event(request: web.Request, event: Event) -> tuple[str, Mapping[str, Any]]:
    match event:
        case JobChanged(job=job):
            return "state", job_view(base_of(request.app), job, request.app[JOBS].progress(job))
        case _:
            return _of_job(request, event)


@operation("events", status=101, reply=Reply(None, description="A WebSocket"), errors=(400,))
async def websocket(request: web.Request) -> web.WebSocketResponse:
    """All events the caller may see, as ``{event, timestamp, data}``."""
    with request.app[STREAMS].one(request[PRINCIPAL].name):
        return await _follow_all(request)


async def _follow_all(request: web.Request) -> web.WebSocketResponse:
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_SECONDS, max_msg_size=bounds.SOCKET_MESSAGE_BYTES + 1)
    await socket.prepare(request)
    events = jobs.broadcast.subscribe(lambda event: is_visible(event, principal))

    async def send_all() -> None:
        async for event in events:
            name, data = _ws_event(request, event)
            now = timestamp(datetime.now(UTC))
            await socket.send_str(json_text({"event": name, "timestamp": now, "data": data}))
        await socket.close()

    sender = asyncio.create_task(send_all())
    try:
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
    finally:
        jobs.broadcast.unsubscribe(events)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
    return socket


def _ws_event(request: web.Request, event: Event) -> tuple[str, Mapping[str, Any]]:
    match event:
        case JobChanged(job=job, previous=None):
            return "job_added", _brief(job)
        case JobChanged(job=job, previous=previous):
            name = "job_cancelled" if job.state == "cancelled" else "job_status_changed"
            return name, {**_brief(job), "previous_status": previous}
        case ModelChanged(model_id=model_id, model_name=model_name, state=state, fraction=fraction, message=message):
            names = {"loading": "model_loading_progress", "failed": "model_load_failed"}
            data = {"model_id": model_id, "model_name": model_name, "progress": fraction, "message": message}
            return names.get(state, f"model_{state}"), data
        case ServerStopping(restarting=restarting):
            return "server_shutdown", {"restarting": restarting}
        case _:
            what, view = _of_job(request, event)
            return f"job_{what}", view


def _of_job(request: web.Request, event: Event) -> tuple[str, Mapping[str, Any]]:
    """What happens to a job other than a change of its state."""
    match event:
        case JobProgressed(job_id=job_id, progress=progress):
            return "progress", {"job_id": job_id, **progress_view(progress)}
        case JobPreviewed(job_id=job_id):
            return "preview", {"job_id": job_id, **preview_view(event)}
        case OutputMade(job_id=job_id, output=output):
            return "output", {"job_id": job_id, **image_view(base_of(request.app), job_id, output)}
        case _:
            return "removed", {"job_id": job_of(event)}


def _brief(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "type": job.type,
        "status": job.state,
        "outputs": [output.file for output in job.outputs],
        "error": job.failure.message if job.failure else None,
    }


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/jobs/{job_id}/events", job_events),
    ("GET", "/ws", websocket),
)
