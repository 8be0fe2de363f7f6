"""Submitting generations that begin with pictures, upscaling, and videos: ``POST /generate/{img2img, …, video}``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.job import JobType
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters
from sdrest.jobs.submission import Submission
from sdrest.web.api.generate import JOB_FIELDS, SUBMIT_ERRORS, Accepted, accepted, job_fields
from sdrest.web.bodies import Body, body_model, to_parameters
from sdrest.web.keys import JOBS, MODELS, PRINCIPAL
from sdrest.web.operations import operation
from sdrest.web.pictures import read_pictures, submit_job
from sdrest.web.reading import read_json
from sdrest.web.routing import Route
from sdrest.web.saved import PRESET_FIELD, SAVED_FIELDS, checked

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
    ("POST", "/generate/img2img", img2img),
    ("POST", "/generate/inpainting", inpainting),
    ("POST", "/generate/controlnet", controlnet),
    ("POST", "/generate/upscale", upscale),
    ("POST", "/generate/video", video),
)
