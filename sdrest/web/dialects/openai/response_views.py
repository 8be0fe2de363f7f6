"""A job as a response of the Responses API: at any time, and as the events of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

from aiohttp import web

from sdrest.core.events import JobPreviewed
from sdrest.core.job import Job, JobState
from sdrest.jobs.events import Subscription
from sdrest.web.dialects.openai.conversation import ORIGIN, call_id, is_stored, let_go, response_id
from sdrest.web.dialects.openai.replies import BACKGROUND, Format, error_body, read_encoded, size_of, size_text, usage
from sdrest.web.dialects.openai.streams import EventStream, followed, problem_of, streamed
from sdrest.web.http.errors import status_of
from sdrest.web.requests.results import pictures_of

_STATES: Final = {
    JobState.PENDING: "queued",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


def _form(job: Job) -> Format:
    kept = job.origin[ORIGIN]
    return Format(kept["output_format"], kept["compression"], "b64_json", kept["quality"])


async def response_view(request: web.Request, job: Job) -> dict[str, Any]:
    """The response as it is."""
    kept, form = job.origin[ORIGIN], _form(job)
    output = []
    if job.state is JobState.COMPLETED:
        for index, picture in enumerate(pictures_of(job)):
            data = await asyncio.to_thread(read_encoded, request, job, picture, form)
            output.append({**_call(job, index, "completed"), "result": data, "seed": picture.seed})
    return {
        "id": response_id(job),
        "object": "response",
        "created_at": int(job.created_at.timestamp()),
        "completed_at": int(job.finished_at.timestamp()) if job.finished_at else None,
        "status": _STATES[job.state],
        "background": kept["background"],
        "error": _error(job) if job.state is JobState.FAILED else None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": kept["metadata"],
        "model": kept["model"] or job.model_name,
        "output": output,
        "parallel_tool_calls": False,
        "previous_response_id": kept["previous_response_id"],
        "store": is_stored(job),
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [{"type": "image_generation", **_options(job), "model": job.model_name}],
        "top_p": None,
        "truncation": "disabled",
        "usage": _usage(job) if job.state is JobState.COMPLETED else None,
        "job_id": job.id,
        "warnings": list(job.warnings),
    }


def _options(job: Job) -> dict[str, Any]:
    form = _form(job)
    return {
        "size": size_text(job),
        "quality": form.quality,
        "background": BACKGROUND,
        "output_format": form.output_format,
        "output_compression": form.compression,
    }


def _call(job: Job, index: int, status: str) -> dict[str, Any]:
    """A picture without its data."""
    return {
        "id": call_id(job, index),
        "type": "image_generation_call",
        "status": status,
        "action": job.origin[ORIGIN]["action"],
        "revised_prompt": job.parameters.get("prompt"),
        **_options(job),
        "result": None,
    }


def _error(job: Job) -> dict[str, Any]:
    error = problem_of(job)
    told = error_body(error, status_of(error))["error"]
    return {"code": told["code"], "message": told["message"]}


def _usage(job: Job) -> dict[str, Any]:
    counted = usage(job)
    return {
        "input_tokens": counted["input_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": counted["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted["total_tokens"],
    }


async def stream_response(
    request: web.Request, job: Job, partial_images: int, events: Subscription
) -> web.StreamResponse:
    """The events of a response, from its creation to its end; ``events`` are older than the job."""
    telling = _Telling(request, job)
    is_awaited = not job.origin[ORIGIN]["background"]
    return await streamed(
        request, job, lambda stream: telling.tell(stream, partial_images, events), is_awaited=is_awaited
    )


class _Telling:
    """Telling one client of one response."""

    def __init__(self, request: web.Request, job: Job) -> None:
        self._request = request
        self._job = job
        self._numbers: Iterator[int] = count()

    async def tell(self, stream: EventStream, partial_images: int, events: Subscription) -> None:
        """Send everything."""
        job, form = self._job, _form(self._job)
        begun = {**await response_view(self._request, job), "status": "in_progress", "output": [], "usage": None}
        await self._send(stream, "response.created", response=begun)
        await self._send(stream, "response.in_progress", response=begun)
        await self._begin(stream, 0)
        sent = 0
        async for news in followed(self._request, job, partial_images, events):
            if isinstance(news, JobPreviewed):
                data = await asyncio.to_thread(form.encoded, news.jpeg, "image/jpeg", size_of(job))
                more = {**_options(job), "partial_image_index": sent, "partial_image_b64": data}
                await self._send(stream, "response.image_generation_call.partial_image", 0, **more)
                sent += 1
            elif news.state is JobState.COMPLETED:
                await self._finish(stream, news)
            else:
                failed = {**await response_view(self._request, news), "status": "failed", "error": _error(news)}
                await let_go(self._request, news)
                await self._send(stream, "response.failed", response=failed)

    async def _begin(self, stream: EventStream, index: int) -> None:
        added = _call(self._job, index, "in_progress")
        await self._send(stream, "response.output_item.added", output_index=index, item=added)
        await self._send(stream, "response.image_generation_call.in_progress", index)
        await self._send(stream, "response.image_generation_call.generating", index)

    async def _finish(self, stream: EventStream, job: Job) -> None:
        view = await response_view(self._request, job)
        await let_go(self._request, job)
        for index, item in enumerate(view["output"]):
            if index:
                await self._begin(stream, index)
            await self._send(stream, "response.image_generation_call.completed", index)
            await self._send(stream, "response.output_item.done", output_index=index, item=item)
        await self._send(stream, "response.completed", response=view)

    async def _send(self, stream: EventStream, name: str, picture: int | None = None, **fields: Any) -> None:
        """Send an event, of one picture where ``picture`` is its index."""
        if picture is not None:
            fields |= {"output_index": picture, "item_id": call_id(self._job, picture)}
        await stream.send({"type": name, "sequence_number": next(self._numbers), **fields})
