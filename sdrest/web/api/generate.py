"""Submitting generations: ``POST /generate/…`` (answers at once) and ``POST /generate`` (answers with the pictures)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NotRequired

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.files import existing
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters
from sdrest.jobs.submission import Submission
from sdrest.web.http.bodies import Body, idempotency_key, read_json
from sdrest.web.http.keys import JOBS, MODELS, PRINCIPAL, SETTINGS, WEBHOOK_GUARD
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import big_reply, json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import Links, ProgressView, links, progress_view, timestamp
from sdrest.web.requests.parameter_bodies import body_model, to_parameters
from sdrest.web.requests.pictures import read_pictures, submit_job
from sdrest.web.requests.presets import PRESET_FIELD, SAVED_FIELDS, checked, read_checked
from sdrest.web.requests.submission import may_reuse
from sdrest.web.requests.waiting import wait_until_completed, waiting_warnings

#: How the job is treated, beside what it makes.
JOB_FIELDS: Final = (
    (
        "idempotency_key",
        str,
        Field(
            "",
            max_length=bounds.IDEMPOTENCY_KEY,
            description="A repeated request with the same key gives the same job.",
        ),
    ),
    (
        "priority",
        int,
        Field(0, ge=-100, le=100, description="Higher goes first; above 0 needs the permission manage_queue."),
    ),
    (
        "webhook_url",
        str,
        Field("", max_length=bounds.WEBHOOK_URL, description="Where to report the job's ending (http or https)."),
    ),
    (
        "reuse",
        bool,
        Field(True, description="Whether the result of an earlier, equal request with this very seed may be given."),
    ),
)
_TEXT_FIELDS: Final = (("sampler", "sampling_method"),)
_V1_FIELDS: Final = (("batch_count", "batch_size"),)

Text2ImgBody: Final = body_model(
    "Text2Img",
    GenerationParameters,
    rename=_TEXT_FIELDS,
    required=frozenset({"prompt"}),
    extra=(*SAVED_FIELDS, *JOB_FIELDS),
)
GenerateBody: Final = body_model(
    "Generate",
    GenerationParameters,
    rename=_V1_FIELDS,
    required=frozenset({"prompt"}),
    extra=(*SAVED_FIELDS, *JOB_FIELDS),
)


class Accepted(TypedDict):
    """A stored job."""

    job_id: str
    status: JobState
    position: int | None
    created_at: str | None
    seed: int | None
    reused: bool
    warnings: list[str]
    links: Links


class GeneratedImage(TypedDict):
    """One picture, base64 of the PNG file, and what was really used to make it."""

    data: str
    seed: int | None
    parameters: dict[str, Any]


class GenerationView(TypedDict):
    """A job in the shape of the synchronous reply."""

    job_id: str
    status: JobState
    images: list[GeneratedImage]
    generation_time: float | None
    reused: bool
    warnings: NotRequired[list[str]]
    progress: NotRequired[ProgressView]
    error: NotRequired[str | None]


#: What submitting can meet beside the faults of the body: no such model, an unusable one, no memory, no disk.
SUBMIT_ERRORS: Final = (404, 409, 422, 507)


async def submission_from(
    request: web.Request, body: Body, job_type: JobType, rename: tuple[tuple[str, str], ...]
) -> Submission:
    """The submission that a validated body asks for."""
    parameters, given, texts = to_parameters(body, GenerationParameters, rename=dict(rename))
    return Submission(
        type=job_type,
        parameters=parameters,
        given=given,
        pictures=await read_pictures(request, texts),
        principal=request[PRINCIPAL],
        origin={"dialect": "native"},
        **job_fields(request, body),
    )


def job_fields(request: web.Request, body: Body) -> dict[str, Any]:
    """How the job is to be treated, as fields of a submission.

    Raises:
        InvalidInput: endings must not be reported to that address.
    """
    webhook_url: str = getattr(body, "webhook_url", "")
    if webhook_url:
        request.app[WEBHOOK_GUARD].check(webhook_url)
    return {
        "priority": getattr(body, "priority", 0),
        "idempotency_key": getattr(body, "idempotency_key", "") or idempotency_key(request),
        "webhook_url": webhook_url,
        "reuse": getattr(body, "reuse", True) and may_reuse(request),
    }


def accepted(request: web.Request, job: Job, position: int | None) -> web.Response:
    """The 202 reply to a stored job."""
    view: Accepted = {
        "job_id": job.id,
        "status": job.state,
        "position": position,
        "created_at": timestamp(job.created_at),
        "seed": job.parameters.get("seed"),
        "reused": bool(job.reused_from),
        "warnings": [*job.warnings, *waiting_warnings(request.app, job)],
        "links": links(job.id),
    }
    return json_reply(view, status=202, headers={"Location": f"/api/queue/job/{job.id}"})


async def _submitted(request: web.Request, body: type[Body], rename: tuple[tuple[str, str], ...]) -> Job:
    """The job that the request asks for; the body and its pictures are let go with this."""
    checked = await read_checked(body, request, rename)
    return await submit_job(request, await submission_from(request, checked, JobType.TXT2IMG, rename))


@operation("generate", body=Text2ImgBody, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def text2img(request: web.Request) -> web.Response:
    """Queue a picture from a prompt."""
    job = await _submitted(request, Text2ImgBody, _TEXT_FIELDS)
    return accepted(request, job, await request.app[JOBS].store.position(job.id))


@operation("generate", body=GenerateBody, reply=GenerationView, errors=SUBMIT_ERRORS)
async def generate(request: web.Request) -> web.Response:
    """Make pictures and answer with them. A client that goes away loses nothing: the job goes on and can be fetched by id."""
    job = await wait_until_completed(request, await _submitted(request, GenerateBody, _V1_FIELDS))
    return await big_reply(await generation_view(request, job), headers={"X-Job-Id": job.id})


@operation("generate", reply=GenerationView)
async def generate_status(request: web.Request) -> web.Response:
    """The job in the shape of the synchronous reply, with its pictures once it is complete."""
    jobs = request.app[JOBS]
    job = await jobs.get(request.match_info["job_id"], request[PRINCIPAL])
    return await big_reply(await generation_view(request, job))


async def generation_view(request: web.Request, job: Job) -> GenerationView:
    """``{job_id, status, images: [{data, seed, parameters}], generation_time}``; data is base64 of the file."""
    view: GenerationView = {
        "job_id": job.id,
        "status": job.state,
        "images": [],
        "generation_time": job.seconds,
        "reused": bool(job.reused_from),
    }
    if job.state is JobState.COMPLETED:
        folder = request.app[SETTINGS].output_dir
        for output in job.outputs:
            data = await asyncio.to_thread(_base64_of, folder, job.id, output.file)
            view["images"].append({"data": data, "seed": output.seed, "parameters": _used(job, output.seed)})
        view["warnings"] = list(job.warnings)
    else:
        view["progress"] = progress_view(request.app[JOBS].progress(job))
        view["error"] = job.failure.message if job.failure else None
    return view


def _base64_of(folder: Path, job_id: str, file: str) -> str:
    return base64.b64encode(existing(folder, job_id, file).read_bytes()).decode()


def _used(job: Job, seed: int | None) -> dict[str, Any]:
    parameters = dict(job.parameters)
    parameters["batch_size"] = parameters.pop("batch_count", 1)
    return {**parameters, "model": job.model_name, "seed": seed}


#: Pairs (parameter, its name on the route).
Names = tuple[tuple[str, str], ...]
_SAMPLER: Final = ("sampler", "sampling_method")


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of generation: what its route takes, under which names, and which job it becomes."""

    job_type: JobType
    table: type
    body: type[Body]
    names: Names

    @classmethod
    def of(cls, name: str, job_type: JobType, table: type, required: Iterable[str], names: Names) -> Mode:
        """A mode whose body is called ``name``."""
        saved = (PRESET_FIELD,) if table is UpscaleParameters else SAVED_FIELDS
        body = body_model(name, table, rename=names, required=frozenset(required), extra=(*saved, *JOB_FIELDS))
        return cls(job_type, table, body, names)

    async def submission(self, request: web.Request, value: object) -> Submission:
        """The submission that a parsed body asks for.

        Raises:
            InvalidInput: all that is wrong with it.
        """
        body = await asyncio.to_thread(checked, self.body, value, request.app[MODELS].catalogue, dict(self.names))
        parameters: Any
        parameters, given, texts = to_parameters(body, self.table, rename=dict(self.names))
        with route_names(self.names):
            return Submission(
                type=self.job_type,
                parameters=parameters,
                given=given,
                pictures=await read_pictures(request, texts),
                principal=request[PRINCIPAL],
                origin={"dialect": "native"},
                **job_fields(request, body),
            )

    async def submit(self, request: web.Request) -> web.Response:
        """Validate the request's body, store the job, and answer 202."""
        submission = await self.submission(request, await read_json(request))
        jobs = request.app[JOBS]
        with route_names(self.names):
            job = await submit_job(request, submission)
        return accepted(request, job, await jobs.store.position(job.id))


@contextmanager
def route_names(names: Names) -> Iterator[None]:
    """Let problems name fields as the route calls them."""
    known: dict[str, Any] = dict(names)
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(
            FieldProblem(".".join([known.get(head, head), *rest]), problem.message)
            for problem in error.problems
            for head, *rest in [problem.field.split(".")]
        ) from None


TEXT2IMG: Final = Mode.of("Text2Img", JobType.TXT2IMG, GenerationParameters, ("prompt",), (_SAMPLER,))
IMG2IMG: Final = Mode.of("Img2Img", JobType.IMG2IMG, GenerationParameters, ("prompt", "init_image"), (_SAMPLER,))
INPAINTING: Final = Mode.of(
    "Inpainting",
    JobType.INPAINT,
    GenerationParameters,
    ("prompt", "init_image"),
    (_SAMPLER, ("init_image", "source_image")),
)
CONTROLNET: Final = Mode.of(
    "ControlNet",
    JobType.CONTROLNET,
    GenerationParameters,
    ("prompt", "control_image", "control_net_model"),
    (_SAMPLER,),
)
UPSCALE: Final = Mode.of(
    "Upscale", JobType.UPSCALE, UpscaleParameters, ("image",), (("upscale_model", "esrgan_model"),)
)
VIDEO: Final = Mode.of("Video", JobType.VIDEO, VideoParameters, ("prompt",), (_SAMPLER,))

#: By the last part of the route.
MODES: Final = {
    "text2img": TEXT2IMG,
    "img2img": IMG2IMG,
    "inpainting": INPAINTING,
    "controlnet": CONTROLNET,
    "upscale": UPSCALE,
    "video": VIDEO,
}


@operation("generate", body=IMG2IMG.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def img2img(request: web.Request) -> web.Response:
    """Queue a picture made from another one.

    Width and height are the initial picture's when they are not given; ``outpaint`` paints beyond its borders.
    """
    return await IMG2IMG.submit(request)


@operation("generate", body=INPAINTING.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def inpainting(request: web.Request) -> web.Response:
    """Queue repainting a part of a picture.

    White parts of ``mask_image`` are repainted, black ones kept; it is scaled to the picture. With ``outpaint`` it may be left out.
    """
    return await INPAINTING.submit(request)


@operation("generate", body=CONTROLNET.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def controlnet(request: web.Request) -> web.Response:
    """Queue a picture guided by a ControlNet.

    With ``canny`` the library turns ``control_image`` into an edge picture first.
    """
    return await CONTROLNET.submit(request)


@operation("generate", body=UPSCALE.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def upscale(request: web.Request) -> web.Response:
    """Queue enlarging a picture with an ESRGAN model.

    The model is repeated until ``upscale_factor`` is reached; what is too much is scaled down.
    """
    return await UPSCALE.submit(request)


@operation("generate", body=VIDEO.body, reply=Accepted, status=202, errors=SUBMIT_ERRORS)
async def video(request: web.Request) -> web.Response:
    """Queue a video from a prompt.

    With ``init_image`` it starts from that picture, with ``end_image`` it ends with that one; ``control_frames`` guide VACE models.
    """
    return await VIDEO.submit(request)


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/generate/text2img", text2img),
    ("POST", "/generate", generate),
    ("GET", "/generate/{job_id}", generate_status),
    ("POST", "/generate/img2img", img2img),
    ("POST", "/generate/inpainting", inpainting),
    ("POST", "/generate/controlnet", controlnet),
    ("POST", "/generate/upscale", upscale),
    ("POST", "/generate/video", video),
)
