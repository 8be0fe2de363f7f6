"""Replies of the AUTOMATIC1111 API: pictures with the complete ``info``, and errors."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from PIL import Image

from sdrest import __version__
from sdrest.core.errors import InsufficientMemory, InvalidInput, SdrestError
from sdrest.core.job import Job, JobState, Output
from sdrest.core.model import Model
from sdrest.core.names import SAMPLER_LABELS, Sampler
from sdrest.outputs.pictures import png_bytes
from sdrest.web.http.keys import MODELS
from sdrest.web.http.replies import big_reply, json_reply, json_text
from sdrest.web.requests.results import pictures_of, read_output

#: Pictures in a request, which would make the echo of it as large as the request.
_BULKY: Final = ("init_images", "mask", "image", "imageList", "extra_images", "alwayson_scripts")


async def images_reply(
    request: web.Request,
    job: Job,
    echo: Mapping[str, Any],
    unfinished: Sequence[bytes],
    *,
    with_images: bool,
) -> web.Response:
    """``{images, parameters, info}`` of a job's pictures.

    Args:
        request: Who waits.
        job: The job, ended.
        echo: What :func:`echo_of` leaves of the request.
        unfinished: A picture that was being made when the job was interrupted, as a JPEG file.
        with_images: Whether the client wants the pictures themselves.
    """
    images = []
    outputs = pictures_of(job)
    if with_images:
        read = [asyncio.to_thread(_base64, request, job, output) for output in outputs]
        images = list(await asyncio.gather(*read, *(asyncio.to_thread(_as_png, data) for data in unfinished)))
    info = json_text(info_of(job, outputs, request.app[MODELS].catalogue.get(job.model_id)))
    return await big_reply({"images": images, "parameters": echo, "info": info}, headers={"X-Job-Id": job.id})


def echo_of(body: Mapping[str, Any], *, whole: bool) -> Mapping[str, Any]:
    """What the reply repeats of the request: all of it but the pictures, unless it is to be the whole."""
    return body if whole else {**body, **{name: None for name in _BULKY if name in body}}


def _base64(request: web.Request, job: Job, output: Output) -> str:
    return base64.b64encode(read_output(request, job, output)).decode()


def _as_png(jpeg: bytes) -> str:
    with Image.open(io.BytesIO(jpeg)) as picture:
        return base64.b64encode(png_bytes(picture)).decode()


def info_of(job: Job, outputs: Sequence[Output], model: Model | None) -> dict[str, Any]:
    """What A1111 says of its pictures; strict clients check that every one of these fields is there."""
    parameters = job.parameters
    pictures = list(outputs) or pictures_of(job)
    seeds = [output.seed for output in pictures]
    first = pictures[0] if pictures else None
    created = job.created_at.strftime("%Y%m%d%H%M%S")
    extra = {"Schedule type": parameters["scheduler"]}
    if job.state is JobState.CANCELLED:
        extra["Interrupted"] = "True"
    if job.warnings:
        extra["Warnings"] = "; ".join(job.warnings)
    return {
        "prompt": parameters["prompt"],
        "all_prompts": [parameters["prompt"]] * len(pictures),
        "negative_prompt": parameters["negative_prompt"],
        "all_negative_prompts": [parameters["negative_prompt"]] * len(pictures),
        "seed": parameters["seed"],
        "all_seeds": seeds,
        "subseed": parameters["seed"],
        "all_subseeds": seeds,
        "subseed_strength": 0,
        "width": first.width if first else parameters["width"],
        "height": first.height if first else parameters["height"],
        "sampler_name": SAMPLER_LABELS[Sampler(parameters["sampler"])],
        "cfg_scale": parameters["cfg_scale"],
        "steps": parameters["steps"],
        "batch_size": parameters["batch_count"],
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": job.model_name,
        "sd_model_hash": model_hash(model),
        "sd_vae_name": parameters.get("vae_model") or "",
        "sd_vae_hash": "",
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": parameters["strength"],
        "extra_generation_params": extra,
        "index_of_first_image": 0,
        "infotexts": [output.infotext for output in pictures],
        "styles": [],
        "job_timestamp": created,
        "clip_skip": parameters["clip_skip"],
        "is_using_inpainting_conditioning": False,
        "version": f"sdrest {__version__}",
    }


def model_hash(model: Model | None) -> str:
    """The short hash that A1111 shows, or nothing while it is not known."""
    return model.short_hashes.get("autov2", "") if model else ""


def error_name(error: SdrestError) -> str:
    """The name in the ``error`` field: that of the class of the error, also of one that ended a job. One client acts on that of a
    lack of memory.
    """
    return "OutOfMemoryError" if isinstance(error, InsufficientMemory) else type(error).__name__


def render_error(_request: web.Request, error: SdrestError, status: int) -> web.Response:
    """An error as A1111 writes it: 422 for wrong input, 500 where it knows nothing better."""
    if isinstance(error, InvalidInput):
        status = 422
    elif isinstance(error, InsufficientMemory):
        status = 500
    body = {
        "error": error_name(error),
        "detail": error.message,
        "body": "",
        "errors": error.message,
        "message": error.message,
        "code": error.slug,
    }
    return json_reply(body, status=status)
