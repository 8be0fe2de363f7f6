"""Adding models from the Models page: by upload and by download, with and without scripts."""

from __future__ import annotations

from aiohttp import web

from sdrest.core.errors import SdrestError
from sdrest.core.principal import Permission
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import DOWNLOADS, MODEL_SETS, PRINCIPAL
from sdrest.web.requests.uploads import Upload, receive
from sdrest.web.ui.job_cards import card_of
from sdrest.web.ui.models import show_all
from sdrest.web.ui.rendering import is_htmx, part, see
from sdrest.web.ui.transfer_forms import DOWNLOAD, UPLOAD, add_models, form_of
from sdrest.work.downloads.requests import DownloadRequest


@requires(Permission.MANAGE_MODELS)
async def upload(request: web.Request) -> web.StreamResponse:
    """Store a model and go to its page, or show the form again with what is wrong beside its fields."""
    sent = Upload()
    try:
        model = await receive(request, sent, prefix=f"{UPLOAD}.")
    except SdrestError as error:
        form = form_of(UPLOAD, sent.texts, error)
        if is_htmx(request):
            return part(request, "parts/transfer_errors.html", status=status_of(error), form=form, card=None)
        return await show_all(request, await add_models(request, upload=form), status_of(error))
    return see(request, f"/ui/models/{model.id}")


@requires(Permission.MANAGE_MODELS)
async def download(request: web.Request) -> web.StreamResponse:
    """Queue a download and show its card, or the form again with what is wrong beside its fields."""
    posted = await read_parts(request)
    prefix = f"{DOWNLOAD}."
    texts = {name.removeprefix(prefix): text for name, text in posted.items() if isinstance(text, str)}
    source, kind, path, sha256 = (texts.get(name, "") for name in ("source", "type", "path", "sha256"))
    wanted = DownloadRequest(source=source, type=kind, path=path, sha256=sha256)
    try:
        job = await request.app[DOWNLOADS].submit(wanted, request[PRINCIPAL])
    except SdrestError as error:
        form = form_of(DOWNLOAD, texts, error)
        if is_htmx(request):
            return part(request, "parts/transfer_errors.html", status=status_of(error), form=form, card=None)
        return await show_all(request, await add_models(request, download=form), status_of(error))
    if is_htmx(request):
        card = await card_of(request, job)
        return part(request, "parts/transfer_errors.html", form=form_of(DOWNLOAD, texts), card=card)
    return see(request, f"/ui/jobs/{job.id}")


@requires(Permission.MANAGE_MODELS)
async def pull(request: web.Request) -> web.StreamResponse:
    """Queue the downloads of a model set and show them on the Models page, or what is wrong above the form of downloads."""
    posted = await read_parts(request)
    try:
        await request.app[MODEL_SETS].pull(str(posted.get("set", "")), request[PRINCIPAL])
    except SdrestError as error:
        return await show_all(
            request, await add_models(request, download=form_of(DOWNLOAD, {}, error)), status_of(error)
        )
    return see(request, "/ui/models")
