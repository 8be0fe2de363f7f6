"""The Responses API with the tool ``image_generation``. A response is a job: its id is the job's, and it lasts as long."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import Conflict, FieldProblem, InvalidInput
from sdrest.core.job import Job, JobState
from sdrest.web.dialects.openai import replies
from sdrest.web.dialects.openai.bodies import ImageBody, ImageTool, ResponseBody
from sdrest.web.dialects.openai.conversation import ORIGIN, job_of_response, let_go, picture_text, read_conversation
from sdrest.web.dialects.openai.editing import edited, edits_by_reference
from sdrest.web.dialects.openai.files import with_files
from sdrest.web.dialects.openai.images import MODE
from sdrest.web.dialects.openai.inputs import digest_of, picture_values
from sdrest.web.dialects.openai.removal import remove
from sdrest.web.dialects.openai.repeats import submitted_once
from sdrest.web.dialects.openai.response_views import response_view, stream_response
from sdrest.web.dialects.openai.streams import wants_event
from sdrest.web.http.bodies import read_object, validate
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import big_reply, json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.pictures import read_pictures
from sdrest.web.requests.results import ending_as_error, wait_until_ended
from sdrest.web.requests.submission import Pictures, chosen_model

_TOOL: Final = "image_generation"
_ONLY_PICTURES: Final = "this server makes pictures and has no text model: "
_ERROR: Final = dict[str, dict[str, Any]]
_RESPONSE: Final = Reply(dict[str, Any], description="The response; with `stream` the events of the SDK instead")


@operation(
    "OpenAI", reply=_RESPONSE, body=ResponseBody, errors=(404, 409, 422, 507), error_schema=dict[str, dict[str, Any]]
)
async def create(request: web.Request) -> web.StreamResponse:
    """Make a picture, or change one, by a conversation.

    The words are those of the user's last message. The picture to change is one in that message, else the newest before it,
    else that of the previous response. Requests for text are refused.
    """
    fields = await read_object(request)
    digest = await asyncio.to_thread(digest_of, request.path, fields)
    body = validate(ResponseBody, fields)
    tool = _tool(body)
    if body.background and not body.store:
        raise InvalidInput("a response in the background must be stored: it is asked for later", field="store")
    asked = validate(
        ImageBody,
        {
            **{name: value for name, value in (body.model_extra or {}).items() if name not in ImageBody.model_fields},
            **tool.model_dump(exclude_unset=True, exclude={"size"}),
            "model": tool.model or body.model,
        },
    )
    asked.size = tool.size
    conversation = await read_conversation(request, body)
    asked.prompt = conversation.prompt
    form, values = replies.asked_format(asked), picture_values(request, asked)
    by_reference = edits_by_reference(chosen_model(request, values["model"]))
    sources = conversation.sources(by_reference=by_reference) if tool.action != "generate" else []
    if not sources and (tool.action == "edit" or tool.input_image_mask):
        raise InvalidInput("there is no picture to edit", field="input")
    pictures = await _pictures(request, sources, tool, by_reference=by_reference)
    if "mask_image" in pictures:
        values.setdefault("strength", 1.0)
    if body.stream and tool.partial_images:
        values.setdefault("preview", "proj")
    origin = {
        "model": body.model,
        "previous_response_id": body.previous_response_id or None,
        "metadata": body.metadata,
        "background": body.background,
        "store": body.store,
        "action": "edit" if sources else "generate",
        "output_format": form.output_format,
        "compression": form.compression,
        "quality": form.quality,
    }

    async def submit() -> Job:
        return await submitted_once(
            request,
            MODE,
            values,
            digest,
            pictures=pictures,
            origin={ORIGIN: origin},
            warnings=replies.passed_over(tool),
        )

    if body.stream:
        broadcast = request.app[JOBS].broadcast
        events = broadcast.subscribe(wants_event)
        try:
            return await stream_response(request, await submit(), tool.partial_images, events)
        finally:
            broadcast.unsubscribe(events)
    job = await submit()
    if not body.background:
        job = await wait_until_ended(request, job)
    try:
        if not body.background and job.state is not JobState.COMPLETED:
            raise ending_as_error(job)
        view = await response_view(request, job)
    finally:
        await let_go(request, job)
    return await big_reply(view, headers={"X-Job-Id": job.id})


def _tool(body: ResponseBody) -> ImageTool:
    """The tool that makes pictures.

    Raises:
        InvalidInput: the request does not have it, or wants something else.
    """
    choice = body.tool_choice if isinstance(body.tool_choice, str) else body.tool_choice.get("type")
    if choice not in {"auto", "required", "allowed_tools", _TOOL}:
        raise InvalidInput(f"{_ONLY_PICTURES}choose the tool {_TOOL}", field="tool_choice")
    for index, tool in enumerate(body.tools):
        if tool.get("type") == _TOOL:
            try:
                return validate(ImageTool, tool)
            except InvalidInput as error:
                raise InvalidInput(
                    FieldProblem(f"tools.{index}.{problem.field}", problem.message) for problem in error.problems
                ) from None
    raise InvalidInput(f'{_ONLY_PICTURES}add {{"type": "{_TOOL}"}} to the tools', field="tools")


async def _pictures(request: web.Request, sources: list[str], tool: ImageTool, *, by_reference: bool) -> Pictures:
    """The pictures of an edit, by parameter; none without sources."""
    if not sources:
        return {}
    mask = [picture_text(tool.input_image_mask, "input_image_mask")] if tool.input_image_mask else []
    texts = {"input": await with_files(request, sources, "input")}
    if mask:
        texts["input_image_mask"] = await with_files(request, mask, "input_image_mask")
    read = await read_pictures(request, texts)
    sent = {"image": read["input"], "mask": read.get("input_image_mask", [])}
    return await asyncio.to_thread(edited, sent, by_reference=by_reference)


@operation("OpenAI", reply=dict[str, Any], error_schema=_ERROR)
async def response(request: web.Request) -> web.Response:
    """A response, with its pictures once they are finished."""
    job = await job_of_response(request, request.match_info["response_id"])
    return await big_reply(await response_view(request, job), headers={"X-Job-Id": job.id})


@operation("OpenAI", reply=dict[str, Any], error_schema=_ERROR)
async def cancel(request: web.Request) -> web.Response:
    """Cancel a response that is not finished."""
    job = await job_of_response(request, request.match_info["response_id"])
    with contextlib.suppress(Conflict):  # it has ended
        job = await request.app[JOBS].cancel(job.id, request[PRINCIPAL])
    return await big_reply(await response_view(request, job))


@operation("OpenAI", reply=dict[str, Any], errors=(409,), error_schema=_ERROR)
async def delete(request: web.Request) -> web.Response:
    """Delete a response and its pictures; one that is not finished is cancelled first."""
    name = request.match_info["response_id"]
    await remove(request, await job_of_response(request, name))
    return json_reply({"id": name, "object": "response", "deleted": True})


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/v1/responses", create),
    ("GET", "/v1/responses/{response_id}", response),
    ("POST", "/v1/responses/{response_id}/cancel", cancel),
    ("DELETE", "/v1/responses/{response_id}", delete),
)
