"""Model sets: which there are, and pulling one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.principal import Permission
from sdrest.registry.model_sets import UNKNOWN, Choice, ModelSet, SetFile
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_json, validate
from sdrest.web.http.keys import MODEL_SETS, PRINCIPAL
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.work.downloads.model_sets import ModelSets


class PullBody(Body):
    """How a set is pulled."""

    quantisation: str = Field("", max_length=80, description="One of the set's; empty: the best that fits the memory.")


class SetFileView(TypedDict):
    """A file of a set; null where something is not known."""

    name: str
    part: str
    type: str
    url: str
    size_bytes: int | None
    about_bytes: int | None
    sha256: str | None


class ChoiceView(TypedDict):
    """One way to get a set; sizes and the least memory in bytes, partly rounded, or null."""

    quantisation: str
    size_bytes: int | None
    memory_bytes: int | None
    here: bool
    files: list[SetFileView]


class ModelSetView(TypedDict):
    """A set, the quantisation that would be taken, and why."""

    name: str
    title: str
    about: str
    licence: str
    architecture: str | None
    catalogue: str
    defaults: Mapping[str, int | float]
    chosen: str
    reason: str
    choices: list[ChoiceView]


class ModelSetList(TypedDict):
    """Every set; what a model may take of the memory; catalogues that could not be read."""

    sets: list[ModelSetView]
    memory_bytes: int
    problems: list[str]


class PulledFileView(TypedDict):
    """A file of a pulled set: the job that downloads it, or null when it is here; whether there is a hash to compare."""

    name: str
    type: str
    size_bytes: int | None
    job_id: str | None
    hash_compared: bool


class PulledView(TypedDict):
    """What is being pulled."""

    name: str
    quantisation: str
    reason: str
    files: list[PulledFileView]


@operation("models", reply=ModelSetList)
async def list_sets(request: web.Request) -> web.Response:
    """List the model sets: models with all the files that they need, and which quantisation fits this machine."""
    sets = request.app[MODEL_SETS]
    found, problems = await sets.all()
    views = await asyncio.to_thread(lambda: [_set_view(sets, item) for item in found])
    reply: ModelSetList = {"sets": views, "memory_bytes": sets.memory_bytes(), "problems": list(problems)}
    return json_reply(reply)


@requires(Permission.MANAGE_MODELS)
@operation("models", body=PullBody, reply=PulledView, status=202, errors=(404, 409))
async def pull(request: web.Request) -> web.Response:
    """Download a model set: a job for each file that is not here yet. Files that sets share are fetched once.

    Asking again goes on where it was: what is here or on its way is left as it is.
    """
    body = validate(PullBody, await read_json(request))
    name = request.match_info["name"]
    pulled = await request.app[MODEL_SETS].pull(name, request[PRINCIPAL], quantisation=body.quantisation)
    reply: PulledView = {
        "name": pulled.model_set.name,
        "quantisation": pulled.choice.name,
        "reason": pulled.reason,
        "files": [
            {
                "name": item.file.file_name,
                "type": item.file.kind.key,
                "size_bytes": item.file.bytes_about,
                "job_id": item.job_id,
                "hash_compared": item.compared,
            }
            for item in pulled.files
        ],
    }
    return json_reply(reply, status=202)


def _set_view(sets: ModelSets, item: ModelSet) -> ModelSetView:
    chosen, reason = item.choose(sets.memory_bytes())
    return {
        "name": item.name,
        "title": item.title,
        "about": item.about,
        "licence": item.licence,
        "architecture": item.architecture,
        "catalogue": item.catalogue,
        "defaults": item.defaults,
        "chosen": chosen.name,
        "reason": reason,
        "choices": [_choice_view(sets, choice) for choice in item.choices],
    }


def _choice_view(sets: ModelSets, choice: Choice) -> ChoiceView:
    return {
        "quantisation": choice.name,
        "size_bytes": choice.size_bytes,
        "memory_bytes": choice.memory_bytes,
        "here": sets.has(choice),
        "files": [_file_view(file) for file in choice.files],
    }


def _file_view(file: SetFile) -> SetFileView:
    return {
        "name": file.file_name,
        "part": file.part,
        "type": file.kind.key,
        "url": file.url,
        "size_bytes": None if file.size == UNKNOWN else file.size,
        "about_bytes": file.about or None,
        "sha256": file.known_sha256 or None,
    }


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/model-sets", list_sets),
    ("POST", "/model-sets/{name}/pull", pull),
)
