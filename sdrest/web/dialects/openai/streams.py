"""Following a job in Server-Sent Events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from sdrest.core.errors import SdrestError, Unavailable
from sdrest.core.events import Event, JobChanged, JobPreviewed
from sdrest.core.job import Job
from sdrest.jobs.events import Subscription
from sdrest.web.http.keys import JOBS, PRINCIPAL, SETTINGS
from sdrest.web.http.replies import json_text
from sdrest.web.requests.audience import in_audience
from sdrest.web.requests.results import ending_as_error


class EventStream:
    """Named events on their way to a client."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response

    async def send(self, event: dict[str, Any]) -> None:
        """Send an event; its name is its ``type``.

        Raises:
            ConnectionResetError: the client is gone.
        """
        text = await asyncio.to_thread(json_text, event)
        await self._response.write(f"event: {event['type']}\ndata: {text}\n\n".encode())


async def streamed(
    request: web.Request, job: Job, tell: Callable[[EventStream], Awaitable[None]], *, is_awaited: bool = True
) -> web.StreamResponse:
    """A response with the events that ``tell`` sends.

    Args:
        request: Who listens.
        job: What it listens to.
        tell: Sends everything.
        is_awaited: Whether the job is for this listener alone, and ends when it goes away.
    """
    # Not aiohttp-sse: it answers GET only.
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Job-Id": job.id}
    )
    await response.prepare(request)
    with contextlib.suppress(ConnectionResetError):  # the client went away
        async with in_audience(request, job) if is_awaited else contextlib.nullcontext():
            await tell(EventStream(response))
            await response.write_eof()
    return response


async def followed(
    request: web.Request, job: Job, partial_images: int, events: Subscription
) -> AsyncIterator[JobPreviewed | Job]:
    """Up to ``partial_images`` previews of a job at even distances, then the job as it ended; ``events`` are older than the job."""
    job = await request.app[JOBS].get(job.id, request[PRINCIPAL])
    if job.is_finished:
        yield job
        return
    steps, sent = int(job.parameters.get("steps", 1)), 0
    async for event in events:
        match event:
            case JobChanged(job=changed) if changed.id == job.id and changed.is_finished:
                yield changed
                return
            case JobPreviewed(job_id=job.id, step=step) if sent < partial_images and step >= (sent + 1) * steps / (
                partial_images + 1
            ):
                sent += 1
                yield event
            case _:
                pass
    # Too far behind, or the server is stopping.
    yield await request.app[JOBS].wait(job.id, request[PRINCIPAL], request.app[SETTINGS].sync_timeout_seconds)


def problem_of(job: Job) -> SdrestError:
    """Why a job that was followed to its end gave no pictures."""
    return ending_as_error(job) if job.is_finished else Unavailable("the job is not finished yet", job_id=job.id)


def wants_event(event: Event) -> bool:
    """Whether a stream may need an event: all endings and previews, because the job's id is not known yet."""
    return isinstance(event, JobPreviewed) or (isinstance(event, JobChanged) and event.job.is_finished)
