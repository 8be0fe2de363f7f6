"""What is known of one model beside its file, and what somebody here says of it: notes, and the picture that it is shown with."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.core.principal import Permission
from sdrest.outputs.pictures import THUMBNAIL_DEFAULT_PX, THUMBNAIL_MAX_PX
from sdrest.planning.size_memory import Verdict
from sdrest.registry.sidecars import NOTES_LIMIT
from sdrest.web.api.models import named
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, parse_query, read_body
from sdrest.web.http.keys import MODELS, THUMBNAILS
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.model_care import queue_measuring, show_with, write_notes_on
from sdrest.web.requests.model_facts import ModelFacts, model_facts

_CACHE_CONTROL: Final = "private, max-age=60"


class NotesBody(Body):
    """What is to be said of a model."""

    notes: str = Field(max_length=NOTES_LIMIT, description="Text; empty takes the notes away.")


class PreviewBody(Body):
    """Which picture a model is shown with."""

    source: str = Field(min_length=1, max_length=500, description="A finished picture, `job:<id>/<file>`.")


class PreviewQuery(Body):
    """How large."""

    size: int = Field(THUMBNAIL_DEFAULT_PX, ge=16, le=THUMBNAIL_MAX_PX, description="Longest side in pixels.")


class NamedModel(TypedDict):
    """A model."""

    id: str
    name: str


class TakenBy(NamedModel):
    """A main model that is loaded with this file, and as which part."""

    component: str


class UsedBy(TypedDict):
    """What uses a model: sets, main models, presets, names in the settings, and the caller's jobs (the newest of them by id)."""

    sets: list[str]
    models: list[TakenBy]
    presets: list[str]
    aliases: list[str]
    job_count: int
    jobs: list[str]


class PartUseView(TypedDict):
    """Bytes of one part; `file` is the registered model that holds it, null for the model's own file."""

    part: str
    size: int
    file: str | None


class DiskView(TypedDict):
    """Bytes on the disk. `own` goes with the model, `total` counts parts in other files, which models may share."""

    parts: list[PartUseView]
    beside: dict[str, int]
    own: int
    total: int


class SizeMemoryView(TypedDict):
    """Bytes for one picture of a size; `compute` is null while it was not measured, `total` then a lower bound."""

    width: int
    height: int
    weights: int
    compute: int | None
    total: int
    verdict: Verdict


class MemoryFacts(TypedDict):
    """What three sizes need of `budget`; `problem` says why nothing is known."""

    budget: int
    sizes: list[SizeMemoryView]
    problem: str


class SpeedView(TypedDict):
    """Measured times at a size; `guided`: every step was computed twice (cfg_scale other than 1)."""

    width: int
    height: int
    guided: bool
    seconds_per_step: float
    seconds_per_picture: float
    samples: int


class ModelFactsView(TypedDict):
    """What is known of a model beside its file."""

    id: str
    name: str
    used_by: UsedBy
    disk: DiskView
    memory: MemoryFacts
    speed: list[SpeedView]
    trigger_words: list[str]
    licence: str | None
    notes: str | None
    preview: str | None
    pictures: list[str]
    variants: list[NamedModel]


class Noted(TypedDict):
    """The notes as they are now."""

    notes: str | None


class Shown(TypedDict):
    """Where the picture is."""

    preview: str


class Measuring(TypedDict):
    """The job that measures."""

    job_id: str
    status: str


@operation("models", reply=ModelFactsView)
async def facts(request: web.Request) -> web.Response:
    """What uses a model, and what it takes of disk, memory and time here.

    Memory is told for the model's own size, a smaller and a larger one; speed is what this machine has measured.
    """
    return json_reply(facts_view(base_of(request.app), await model_facts(request, named(request))))


def facts_view(base: str, found: ModelFacts) -> ModelFactsView:
    """The facts as they are told to programs."""
    model = found.model
    return {
        "id": model.id,
        "name": model.name,
        "used_by": {
            "sets": [item.name for item in found.sets],
            "models": [{"id": main.id, "name": main.name, "component": str(part)} for part, main in found.taken_by],
            "presets": list(found.presets),
            "aliases": list(found.aliases),
            "job_count": found.job_count,
            "jobs": [job.id for job in found.jobs],
        },
        "disk": {
            "parts": [
                {"part": part.part, "size": part.size, "file": part.file.name if part.file else None}
                for part in found.disk.parts
            ],
            "beside": dict(found.disk.beside),
            "own": found.disk.own,
            "total": found.disk.total,
        },
        "memory": {
            "budget": found.budget_bytes,
            "sizes": [
                {
                    "width": size.width,
                    "height": size.height,
                    "weights": size.weights,
                    "compute": size.compute or None,
                    "total": size.total,
                    "verdict": size.verdict,
                }
                for size in found.memory
            ],
            "problem": found.memory_problem,
        },
        "speed": [
            {
                "width": timing.width,
                "height": timing.height,
                "guided": timing.guided,
                "seconds_per_step": timing.seconds_per_step,
                "seconds_per_picture": timing.seconds_per_picture,
                "samples": timing.samples,
            }
            for timing in found.speed
        ],
        "trigger_words": list(model.trigger_words),
        "licence": model.licence,
        "notes": model.notes,
        "preview": base + preview_url(model.id) if model.preview else None,
        "pictures": [f"job:{job.id}/{output.file}" for job, output in found.pictures],
        "variants": [{"id": other.id, "name": other.name} for other in found.variants],
    }


def preview_url(model_id: str) -> str:
    """Where the picture is that a model is shown with."""
    return f"/api/models/{model_id}/preview"


@requires(Permission.MANAGE_MODELS)
@operation("models", body=NotesBody, reply=Noted, errors=(403, 409, 507))
async def write_notes(request: web.Request) -> web.Response:
    """Write notes on a model, into `NAME.json` beside it; whatever else that file holds stays."""
    model, body = named(request), await read_body(NotesBody, request)
    await write_notes_on(request, model, body.notes)
    changed = request.app[MODELS].catalogue.get(model.id)
    return json_reply({"notes": changed.notes if changed else None})


@requires(Permission.MANAGE_MODELS)
@operation("models", body=PreviewBody, reply=Shown, errors=(403, 409, 507))
async def choose_preview(request: web.Request) -> web.Response:
    """Show a model with a finished picture from now on: a copy of at most 512 pixels is put beside it as `NAME.preview.png`."""
    model, body = named(request), await read_body(PreviewBody, request)
    await show_with(request, model, body.source)
    return json_reply({"preview": base_of(request.app) + preview_url(model.id)})


@operation("models", query=PreviewQuery, reply=Reply(None, "image/jpeg", "The picture"))
async def preview(request: web.Request) -> web.Response:
    """The picture that a model is shown with, as JPEG: chosen here, or put beside it by a person or a download; 404 for none."""
    model, query = named(request), parse_query(PreviewQuery, request)
    if model.preview is None:
        raise NotFound(f"{model.name} has no picture")
    try:
        data = await asyncio.to_thread(request.app[THUMBNAILS].jpeg, model.preview, query.size)
    except (OSError, InvalidInput):
        raise NotFound(f"the picture of {model.name} cannot be read") from None
    return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": _CACHE_CONTROL})


@requires(Permission.MANAGE_MODELS)
@operation("models", reply=Measuring, status=202, errors=(404, 422))
async def measure(request: web.Request) -> web.Response:
    """Load a model and find out, without painting, what pictures of its three sizes take of the memory."""
    job = await queue_measuring(request, named(request))
    reply: Measuring = {"job_id": job.id, "status": job.state}
    return json_reply(reply, status=202)


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/models/{model_id}/facts", facts),
    ("POST", "/models/{model_id}/notes", write_notes),
    ("GET", "/models/{model_id}/preview", preview),
    ("POST", "/models/{model_id}/preview", choose_preview),
    ("POST", "/models/{model_id}/measure", measure),
)
