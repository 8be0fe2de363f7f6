"""The form API of ``stable-diffusion-rest-api``: three endpoints, a redirect to the job, and its pictures by number.

A job's id is a digest of everything that decides what it makes, so the same form posted twice is one job. A job that failed or was
cancelled is queued again when it is posted again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final, Literal, NotRequired

import msgspec
from aiohttp import web
from PIL import Image
from typing_extensions import TypedDict

from sdrest.core.errors import FieldProblem, InvalidInput, ModelNotFound, NotFound
from sdrest.core.files import existing
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.parameters import GenerationParameters, to_json
from sdrest.web.dialects.server_b_forms import KINDS, NAMES, Form, Kind, parameter_values
from sdrest.web.http.bodies import read_file, read_parts, validate
from sdrest.web.http.keys import DEFAULT_MODEL, INTAKE, JOBS, MODELS, PRINCIPAL, SETTINGS
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import FORM, Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.parameter_bodies import body_model
from sdrest.web.requests.pictures import Sent, read_pictures
from sdrest.web.requests.submission import Mode, stored, submission
from sdrest.work.progress import LOAD_SHARE

_DIALECT: Final = "server_b"
_BODY: Final = body_model("ServerB", GenerationParameters, rename=tuple(NAMES.items()))
_SUBMIT_ERRORS: Final = (404, 409, 422, 507)
#: More than any number of a picture has, fewer than Python refuses to read.
_DIGITS: Final = 9


class ImageProgress(TypedDict):
    """Which picture is being made, counted from 1, and how far it is (0–1)."""

    currentImageIndex: int
    currentImageProgress: float
    totalImages: int


class TaskStatus(TypedDict):
    """The state of a job and the paths of its pictures."""

    status: Literal["QUEUED", "IN_PROGRESS", "COMPLETE", "FAILED", "CANCELLED"]
    resultUrl: str
    progress: NotRequired[ImageProgress]
    imageUrls: NotRequired[list[str]]
    error: NotRequired[str]


class Endpoint:
    """The handlers of one kind of job."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._mode = Mode(dialect=_DIALECT, table=GenerationParameters, body=_BODY, names=NAMES, job_type=kind.job_type)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Its routes."""
        path = self._kind.path

        @operation(
            "server B",
            body=self._kind.form,
            body_type=FORM,
            files=self._kind.files,
            status=302,
            reply=Reply(TaskStatus, description="Where the job is; with its status"),
            errors=_SUBMIT_ERRORS,
        )
        async def submit(request: web.Request) -> web.Response:
            """Queue the job of a form, or find the one that was posted before."""
            return await self._submit(request)

        return (
            ("POST", path, submit),
            ("GET", path + "/{id}", self.status),
            ("GET", path + "/{id}/{file}", self.picture),
        )

    async def _submit(self, request: web.Request) -> web.Response:
        form, pictures = await _read_form(request, self._kind)
        settings, mode = request.app[SETTINGS], self._mode
        inpainting = self._kind.job_type is JobType.INPAINT
        model = _model(request, settings.inpaint_image_model if inpainting else settings.text_to_image_model)
        values = {**parameter_values(form, pictures.get("init_image")), "model": model.id}
        by_name = {name: [picture] for name, picture in pictures.items()}
        asked = await submission(request, mode, values, pictures=by_name)
        jobs = request.app[JOBS]
        with mode.naming():
            complete = (await request.app[INTAKE].check(asked)).parameters
        task_id = await asyncio.to_thread(digest, self._kind, to_json(complete), model, pictures)
        key = f"{_DIALECT}:{task_id}"
        job = await jobs.by_key(key, request[PRINCIPAL])
        if job is not None and job.state in {JobState.FAILED, JobState.CANCELLED}:
            await jobs.store.forget_key(job.id)
            job = None
        if job is None:
            origin = {**asked.origin, "id": task_id, "path": self._kind.path}
            job = await stored(request, mode, dataclasses.replace(asked, idempotency_key=key, origin=origin))
        return json_reply(self._view(request, job), status=302, headers={"Location": self._url(job)})

    @operation("server B", reply=TaskStatus)
    async def status(self, request: web.Request) -> web.Response:
        """The state of a job."""
        return json_reply(self._view(request, await self._job(request)))

    @operation("server B", reply=Reply(None, "image/png", "The picture"))
    async def picture(self, request: web.Request) -> web.StreamResponse:
        """A finished picture: `1.png`, `2.png` …, while the job runs as well."""
        job = await self._job(request)
        outputs = job.outputs
        number = request.match_info["file"].removesuffix(".png")
        if not _is_number(number) or not 1 <= int(number) <= len(outputs):
            raise NotFound(f"the job has no picture {request.match_info['file']!r}")
        file = outputs[int(number) - 1].file
        path = await asyncio.to_thread(existing, request.app[SETTINGS].output_dir, job.id, file)
        return web.FileResponse(path, headers={"Content-Type": "image/png"})

    async def _job(self, request: web.Request) -> Job:
        task_id = request.match_info["id"]
        job = await request.app[JOBS].by_key(f"{_DIALECT}:{task_id}", request[PRINCIPAL])
        if job is None or job.origin.get("path") != self._kind.path:
            raise NotFound(f"no job {task_id}")
        return job

    def _url(self, job: Job) -> str:
        return f"{self._kind.path}/{job.origin['id']}"

    def _view(self, request: web.Request, job: Job) -> TaskStatus:
        url = base_of(request.app) + self._url(job)
        jobs = request.app[JOBS]
        pictures = [f"{url}/{number}.png" for number in range(1, len(job.outputs) + 1)]
        match job.state:
            case JobState.PENDING:
                return {"status": "QUEUED", "resultUrl": url}
            case JobState.RUNNING:
                total = max(1, int(job.parameters.get("batch_count", 1)))
                done = max(0.0, jobs.progress(job).fraction - LOAD_SHARE) / (1 - LOAD_SHARE) * total
                current = min(total, max(len(pictures), int(done)) + 1)
                progress: ImageProgress = {
                    "currentImageIndex": current,
                    "currentImageProgress": round(min(1.0, max(0.0, done - (current - 1))), 3),
                    "totalImages": total,
                }
                return {"status": "IN_PROGRESS", "resultUrl": url, "progress": progress, "imageUrls": pictures}
            case JobState.COMPLETED:
                return {"status": "COMPLETE", "resultUrl": url, "imageUrls": pictures}
            case JobState.FAILED:
                return {"status": "FAILED", "resultUrl": url, "error": job.failure.message if job.failure else ""}
            case JobState.CANCELLED:
                return {"status": "CANCELLED", "resultUrl": url}


async def _read_form(request: web.Request, kind: Kind) -> tuple[Form, dict[str, Image.Image]]:
    """The form, and its pictures under the parameters' names.

    Raises:
        InvalidInput: with all that is wrong with the fields and the pictures.
    """
    parts = await read_parts(request)
    form = kind.form()
    sent: dict[str, list[Sent]] = {}
    pictures: dict[str, Image.Image] = {}
    problems: list[FieldProblem] = []
    try:
        form = validate(kind.form, {name: value for name, value in parts.items() if isinstance(value, str)})
    except InvalidInput as error:
        problems.extend(error.problems)
    else:
        if kind.job_type is not JobType.INPAINT and not form.prompt.strip():
            problems.append(FieldProblem("prompt", "is required"))
    for name in kind.files:
        part = parts.get(name)
        if isinstance(part, web.FileField):
            sent[name] = [await read_file(request, part)]
        else:
            problems.append(FieldProblem(name, "a picture file is required"))
    try:
        read = await read_pictures(request, sent)
        pictures = {name: read[NAMES[name]][0] for name in kind.pictures if NAMES[name] in read}
    except InvalidInput as error:
        problems.extend(error.problems)
    if problems:
        raise InvalidInput(problems)
    return form, pictures


def _is_number(text: str) -> bool:
    """Whether a text is a whole number of as many digits as any that is meant here could have."""
    return text.isdecimal() and len(text) <= _DIGITS


def digest(kind: Kind, parameters: Mapping[str, Any], model: Model, pictures: Mapping[str, Image.Image]) -> str:
    """32 hexadecimal digits that are the same for the same parameters, pictures and model, and else different."""
    found = hashlib.blake2b(digest_size=16)
    identity = (kind.path, parameters, model.id, model.size, model.mtime_ns)
    found.update(msgspec.json.encode(identity, order="sorted"))
    for name, picture in sorted(pictures.items()):
        found.update(f"{name} {picture.mode} {picture.size}".encode())
        found.update(picture.tobytes())
    return found.hexdigest()


def _model(request: web.Request, name: str) -> Model:
    """The configured model, by any name or by the path of its file; the caller's default one when none is configured."""
    registry = request.app[MODELS]
    if not name:
        return request.app[DEFAULT_MODEL].model(request[PRINCIPAL])
    try:
        return registry.catalogue.resolve(name, MAIN_TYPES)
    except ModelNotFound:
        return registry.catalogue.resolve(PurePath(name).name, MAIN_TYPES)


ROUTES: Final[tuple[Route, ...]] = tuple(route for kind in KINDS for route in Endpoint(kind).routes)
