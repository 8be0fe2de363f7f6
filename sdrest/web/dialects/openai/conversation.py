"""What a conversation of the Responses API asks for: the words of the user's last message, and the pictures that go with them."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import Conflict, InvalidInput, NotFound
from sdrest.core.job import Job, JobState
from sdrest.web.dialects.openai.bodies import ResponseBody
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.requests.results import pictures_of

_CALL: Final = "image_generation_call"
_CALL_ID: Final = re.compile(r"ig_([0-9a-f]{32})_(\d{1,3})")
_RESPONSE_ID: Final = re.compile(r"resp_([0-9a-f]{32})")
#: Where a job that answers a response keeps what only this API knows.
ORIGIN: Final = "response"


class PreviousResponseNotFound(InvalidInput):
    """There is no such response with a picture to go on from."""

    slug = "previous_response_not_found"


def response_id(job: Job) -> str:
    """The id of the response that a job is."""
    return "resp_" + uuid.UUID(job.id).hex


def call_id(job: Job, index: int) -> str:
    """The id of a picture in the response."""
    return f"ig_{uuid.UUID(job.id).hex}_{index}"


async def job_of_response(request: web.Request, name: str) -> Job:
    """The job behind a stored response.

    Raises:
        NotFound: there is none that the caller may see.
    """
    match = _RESPONSE_ID.fullmatch(name)
    if match is not None:
        job = await request.app[JOBS].get(str(uuid.UUID(match[1])), request[PRINCIPAL])
        if ORIGIN in job.origin and is_stored(job):
            return job
    raise NotFound(f"no response {name}")


def is_stored(job: Job) -> bool:
    """Whether later requests may name what a job has made: not so when it answers a response that said ``store: false``."""
    return bool(job.origin.get(ORIGIN, {}).get("store", True))


async def let_go(request: web.Request, job: Job) -> None:
    """Delete the ended job of a response that is not to be stored, once what is answered has been read.

    One whose client has hung up is left to the client that repeats the request, if any, and to retention.
    """
    is_there = request.transport is not None and not request.transport.is_closing()
    if is_there and not is_stored(job):
        with contextlib.suppress(Conflict, NotFound):  # it goes on, or somebody else has deleted it
            await request.app[JOBS].remove(job.id, request[PRINCIPAL])


@dataclass(slots=True)
class Conversation:
    """What is asked for. Pictures are texts as :mod:`sdrest.web.requests.pictures` reads them."""

    prompt: str = ""
    #: Those in the last message.
    pictures: list[str] = field(default_factory=list)
    #: The newest one before it.
    earlier: str = ""

    def sources(self, *, by_reference: bool) -> list[str]:
        """The pictures to start from; a model that follows references can have the earlier one and new ones together."""
        earlier = [self.earlier] if self.earlier and (by_reference or not self.pictures) else []
        return [*earlier, *self.pictures]


async def read_conversation(request: web.Request, body: ResponseBody) -> Conversation:
    """What the conversation asks for.

    Raises:
        InvalidInput: it holds no words of the user, or something that is no text or picture.
        PreviousResponseNotFound: as the name says.
    """
    asked = Conversation()
    if body.previous_response_id:
        asked.earlier = await _picture_of_response(request, body.previous_response_id)
    items = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input
    for index, item in enumerate(items):
        where = f"input.{index}"
        if item.get("type") in {_CALL, "item_reference"}:
            asked.earlier = await _picture_of_call(request, item, where)
        elif item.get("role") == "user":
            asked.earlier = asked.pictures[-1] if asked.pictures else asked.earlier
            asked.prompt, asked.pictures = _message(item.get("content"), f"{where}.content")
    if not asked.prompt.strip():
        raise InvalidInput("a message of the user with words is needed", field="input")
    return asked


async def _picture_of_response(request: web.Request, name: str) -> str:
    try:
        job = await job_of_response(request, name)
    except NotFound:
        job = None
    if job is None or job.state is not JobState.COMPLETED or not pictures_of(job):
        raise PreviousResponseNotFound(
            f"there is no response {name!r} with a picture to go on from", field="previous_response_id"
        )
    return f"job:{job.id}/{pictures_of(job)[0].file}"


async def _picture_of_call(request: web.Request, item: Mapping[str, Any], where: str) -> str:
    """A picture that was made before: the client's copy of it, or the one of that id."""
    if isinstance(item.get("result"), str) and item["result"]:
        return str(item["result"])
    match = _CALL_ID.fullmatch(str(item.get("id")))
    try:
        job = await request.app[JOBS].get(str(uuid.UUID(match[1])), request[PRINCIPAL]) if match else None
    except NotFound:
        job = None
    pictures = pictures_of(job) if job and is_stored(job) else []
    if job is None or match is None or int(match[2]) >= len(pictures):
        raise InvalidInput(f"there is no picture {item.get('id')!r}", field=f"{where}.id")
    return f"job:{job.id}/{pictures[int(match[2])].file}"


def _message(content: Any, where: str) -> tuple[str, list[str]]:
    """The words and the pictures of a message."""
    if isinstance(content, str):
        return content, []
    words, pictures = [], []
    for index, part in enumerate(content if isinstance(content, list) else []):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in {"input_text", "text"}:
            words.append(str(part.get("text") or ""))
        elif kind == "input_image":
            pictures.append(picture_text(part, f"{where}.{index}"))
        else:
            raise InvalidInput("must be of type input_text or input_image", field=f"{where}.{index}")
    return "\n".join(words), pictures


def picture_text(part: Mapping[str, Any], where: str) -> str:
    """The picture that an object names.

    Raises:
        InvalidInput: it names none.
    """
    address = part.get("image_url") or part.get("file_id")
    if isinstance(address, Mapping):
        address = address.get("url")
    if not isinstance(address, str) or not address:
        raise InvalidInput("must have an image_url (an http(s) or data: URL) or a file_id", field=where)
    return address
