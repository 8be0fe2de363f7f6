"""The API of stable-diffusion.cpp's own server under ``/sdcpp/v1`` (its ``examples/server/api.md``)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from PIL import Image

from sdrest.core.errors import InvalidInput
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.names import PictureFormat
from sdrest.core.parameters import GenerationParameters, VideoParameters
from sdrest.outputs.encoding import MEDIA_TYPES, Encoding
from sdrest.outputs.pictures import reencoded
from sdrest.web.dialects.sdcpp.bodies import ImageBody, VideoBody
from sdrest.web.dialects.sdcpp.capabilities import capabilities
from sdrest.web.dialects.sdcpp.fields import PICTURES, parameters_from
from sdrest.web.http.bodies import LooseBody, read_object, validate
from sdrest.web.http.keys import JOBS, PRINCIPAL, SETTINGS
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import big_reply, json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.pictures import read_pictures
from sdrest.web.requests.results import pictures_of, read_output
from sdrest.web.requests.submission import Mode, submitted

_STATES: Final = {JobState.PENDING: "queued", JobState.RUNNING: "generating"}
_CANCEL_MARGIN_SECONDS: Final = 2.0
_SUBMIT_ERRORS: Final = (404, 409, 422, 507)
_NAMES: Final = {"loras": "lora", "sampler": "sample_params.sample_method", "steps": "sample_params.sample_steps"}
_MODES: Final = {
    "img_gen": Mode.loose("sdcpp", GenerationParameters, _NAMES),
    "vid_gen": Mode.loose("sdcpp", VideoParameters, _NAMES),
}


@operation("sdcpp", reply=dict[str, Any], status=202, body=ImageBody, errors=_SUBMIT_ERRORS)
async def img_gen(request: web.Request) -> web.Response:
    """Queue pictures."""
    return await _queued(request, "img_gen", ImageBody)


@operation("sdcpp", reply=dict[str, Any], status=202, body=VideoBody, errors=_SUBMIT_ERRORS)
async def vid_gen(request: web.Request) -> web.Response:
    """Queue a video."""
    return await _queued(request, "vid_gen", VideoBody)


async def _queued(request: web.Request, kind: str, form: type[ImageBody | VideoBody]) -> web.Response:
    fields = await read_object(request)
    if not fields:
        raise InvalidInput("empty body")
    body = validate(form, fields)
    sent = body.model_dump(exclude_unset=True)
    values = parameters_from(sent)
    if isinstance(body, VideoBody):
        values["video_format"] = body.output_format
    else:
        values |= {"output_format": body.output_format, "output_quality": max(1, body.output_compression)}
    origin = {"kind": kind, "output_format": body.output_format, "compression": body.output_compression}
    job = await submitted(request, _MODES[kind], values, pictures=await _pictures(request, sent), origin=origin)
    view = {"id": job.id, "kind": kind, "status": "queued", "created": _seconds(job.created_at)}
    return json_reply({**view, "poll_url": f"{base_of(request.app)}/sdcpp/v1/jobs/{job.id}"}, status=202)


async def _pictures(request: web.Request, sent: Mapping[str, Any]) -> dict[str, Any]:
    texts = {}
    for name in PICTURES:
        value = sent.get(name)
        if value:
            texts[name] = [item for item in (value if isinstance(value, list) else [value]) if item]
    return await asyncio.to_thread(_arranged, await read_pictures(request, texts))


def _arranged(pictures: dict[str, list[Image.Image]]) -> dict[str, list[Image.Image]]:
    """The pictures with the channels that the parameters have; blocks."""
    # The API speaks of masks with one channel.
    pictures["mask_image"] = [mask.convert("L") for mask in pictures.get("mask_image", ())]
    return {name: items if name == "mask_image" else _opaque(items) for name, items in pictures.items() if items}


def _opaque(pictures: list[Image.Image]) -> list[Image.Image]:
    return [picture.convert("RGB") for picture in pictures]


@operation("sdcpp", reply=dict[str, Any], errors=(404,))
async def job(request: web.Request) -> web.Response:
    """A job, with its pictures once it is complete."""
    found = await request.app[JOBS].get(request.match_info["job_id"], request[PRINCIPAL])
    return await big_reply(await _view(request, found))


@operation("sdcpp", reply=dict[str, Any], body=LooseBody, body_required=False, errors=(404, 409))
async def cancel(request: web.Request) -> web.Response:
    """Cancel a waiting or running job; the answer is the job as it ended, because clients look no further."""
    jobs, principal = request.app[JOBS], request[PRINCIPAL]
    after = await jobs.cancel(request.match_info["job_id"], principal)
    ended = await jobs.wait(after.id, principal, request.app[SETTINGS].cancel_grace_seconds + _CANCEL_MARGIN_SECONDS)
    return await big_reply(await _view(request, ended))


async def _view(request: web.Request, job: Job) -> dict[str, Any]:
    jobs = request.app[JOBS]
    position = await jobs.store.position(job.id) if job.state is JobState.PENDING else 0
    progress = jobs.progress(job)
    error = None
    if job.failure:
        error = {"code": job.failure.slug, "message": job.failure.message}
    elif job.state is JobState.CANCELLED:
        error = {"code": "cancelled", "message": "job cancelled by client"}
    return {
        "id": job.id,
        "kind": job.origin.get("kind") or ("vid_gen" if job.type is JobType.VIDEO else "img_gen"),
        "status": _STATES.get(job.state, str(job.state)),
        "created": _seconds(job.created_at),
        "started": _seconds(job.started_at),
        "completed": _seconds(job.finished_at),
        "queue_position": position or 0,
        "progress": {"fraction": progress.fraction, "step": progress.step, "steps": progress.steps},
        "result": await asyncio.to_thread(_result, request, job) if job.state is JobState.COMPLETED else None,
        "error": error,
        "warnings": list(job.warnings),
    }


def _result(request: web.Request, job: Job) -> dict[str, Any]:
    output_format = str(job.origin.get("output_format") or "png")
    if job.type is JobType.VIDEO:
        video = job.outputs[0]
        return {
            "output_format": output_format,
            "mime_type": video.media_type,
            "fps": job.parameters.get("fps"),
            "frame_count": job.parameters.get("video_frames"),
            "b64_json": base64.b64encode(read_output(request, job, video)).decode(),
        }
    images = []
    for index, output in enumerate(pictures_of(job)):
        data = read_output(request, job, output)
        if output.media_type != MEDIA_TYPES[PictureFormat(output_format)]:  # the job came in by another way
            data = reencoded(data, Encoding(PictureFormat(output_format), int(job.origin.get("compression", 100))))
        images.append({"index": index, "b64_json": base64.b64encode(data).decode()})
    return {"output_format": output_format, "images": images}


def _seconds(when: datetime | None) -> int | None:
    return int(when.timestamp()) if when else None


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/sdcpp/v1/capabilities", capabilities),
    ("POST", "/sdcpp/v1/img_gen", img_gen),
    ("POST", "/sdcpp/v1/vid_gen", vid_gen),
    ("GET", "/sdcpp/v1/jobs/{job_id}", job),
    ("POST", "/sdcpp/v1/jobs/{job_id}/cancel", cancel),
)
