"""Bringing models onto the machine: uploads and downloads."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.errors import InvalidInput
from sdrest.core.job import JobState
from sdrest.core.principal import Permission
from sdrest.web.api.model_views import ModelView, model_view
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_json, validate
from sdrest.web.http.keys import DOWNLOADS, PRINCIPAL
from sdrest.web.http.operations import FORM, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.job_views import Links, links
from sdrest.web.requests.uploads import Upload, receive
from sdrest.work.downloads.requests import DownloadRequest

_PATH: Final = "Sub-folder, file name, or both, within the folder of the type; empty: the file's own name."
_SHA256: Final = "SHA-256 that the file must have; empty: not compared."
_TYPE: Final = "Type or folder: checkpoint, diffusion_models, lora, vae, controlnet, text_encoders …"


class UploadForm(Body):
    """A model file and where it goes. The texts come before the file."""

    type: str = Field(min_length=1, max_length=50, description=_TYPE)
    path: str = Field("", max_length=1000, description=_PATH)
    sha256: str = Field("", max_length=64, description=_SHA256)
    file: str = Field(description="The model.")


class Uploaded(TypedDict):
    """The model as it is listed now."""

    model: ModelView


class DownloadBody(Body):
    """What to download: `source`, or `repo_id` and `filename`."""

    source: str = Field(
        "",
        max_length=4000,
        description="An http(s) URL, `hf:owner/repo/path@revision`, or `civitai:VERSION`; pages of models there do as well.",
    )
    repo_id: str = Field("", max_length=200, description="Repository on Hugging Face: `owner/name`.")
    filename: str = Field("", max_length=1000, description="File within the repository.")
    revision: str = Field("", max_length=200, description="Branch, tag or commit; empty: main.")
    type: str = Field("", max_length=50, description=f"{_TYPE} Models of CivitAI bring their own.")
    path: str = Field("", max_length=1000, description=_PATH)
    sha256: str = Field(
        "", max_length=64, description="SHA-256 that the file must have; empty: what the source tells, if it does."
    )


class DownloadQueued(TypedDict):
    """A download on its way."""

    job_id: str
    status: JobState
    links: Links


@requires(Permission.MANAGE_MODELS)
@operation(
    "models",
    body=UploadForm,
    body_type=FORM,
    files=("file",),
    reply=Uploaded,
    status=201,
    errors=(409, 422, 503, 507),
)
async def upload(request: web.Request) -> web.Response:
    """Store a model file in the folder of its type.

    The file is written while it comes, checked, and only then named; nothing is overwritten. In the form, `type`, `path` and
    `sha256` come before `file`.
    """
    if not request.content_type.startswith("multipart/"):
        raise InvalidInput("must be multipart/form-data with a field `file`", field="file")
    model = await receive(request, Upload())
    reply: Uploaded = {"model": model_view(model, is_loaded=False)}
    return json_reply(reply, status=201)


@requires(Permission.MANAGE_MODELS)
@operation("models", body=DownloadBody, reply=DownloadQueued, status=202, errors=(409,))
async def download(request: web.Request) -> web.Response:
    """Download a model by a background job, which goes on after breaks and restarts.

    Hosts are those of the setting `download_hosts`; private addresses are refused, and every redirect is checked again.
    """
    body = validate(DownloadBody, await read_json(request))
    source = body.source
    if body.repo_id or body.filename or body.revision:
        if source or not (body.repo_id and body.filename):
            raise InvalidInput("give either source, or repo_id and filename", field="source")
        source = f"hf:{body.repo_id}/{body.filename}@{body.revision or 'main'}"
    wanted = DownloadRequest(source=source, type=body.type, path=body.path, sha256=body.sha256)
    job = await request.app[DOWNLOADS].submit(wanted, request[PRINCIPAL])
    reply: DownloadQueued = {"job_id": job.id, "status": job.state, "links": links(request, job.id)}
    return json_reply(reply, status=202)


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/models/upload", upload),
    ("POST", "/models/download", download),
)
