"""The Models page's look at CivitAI and Hugging Face: searching, and newer versions of what is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.principal import Permission
from sdrest.registry.folders import BY_KEY
from sdrest.web.http.access import requires
from sdrest.web.http.keys import HUBS, MODELS
from sdrest.web.requests.hub_views import here_of, is_here, preview_url
from sdrest.web.ui.fields import Option
from sdrest.web.ui.labels import FOLDER_LABELS
from sdrest.web.ui.languages import _
from sdrest.web.ui.model_page_contexts import HubPage, HubRow, HubUpdatesPage
from sdrest.web.ui.rendering import page
from sdrest.work.hubs.browsing import Listing
from sdrest.work.hubs.values import Answer, Hub

HERE: Final = "/ui/models/hubs"
_LIMIT: Final = 12
_SHOWN_FILES: Final = 8
_OFFERED: Final = (
    "checkpoints",
    "diffusion_models",
    "lora",
    "vae",
    "controlnet",
    "embeddings",
    "esrgan",
    "text_encoders",
)


@requires(Permission.MANAGE_MODELS)
async def show(request: web.Request) -> web.Response:
    """The search, and what it found."""
    query = request.query
    words, hub, kind = query.get("query", "").strip()[:200], query.get("hub", ""), query.get("type", "")
    hub, kind = hub if hub in set(Hub) else "", kind if kind in BY_KEY else ""
    # A form that was sent holds "sent"; a box that is not ticked is not in it.
    everything = bool(query.get("sent")) and "fitting" not in query
    cursors = {item: query.get(f"{item}_cursor", "")[:1000] for item in Hub}
    listing = Listing(models=())
    if query.get("sent"):
        listing = await request.app[HUBS].search(
            words,
            hubs=(Hub(hub),) if hub else tuple(Hub),
            kind=kind,
            runs=not everything,
            fits=not everything,
            limit=_LIMIT,
            cursors=cursors if any(cursors.values()) else None,
        )
    kept = {"query": words, "hub": hub, "type": kind, "sent": "1", **({} if everything else {"fitting": "on"})}
    return page(
        request,
        "hubs.html",
        HubPage(
            query=words,
            hub=hub,
            hubs=(Option("", _("CivitAI and Hugging Face")), *(Option(hub.value, hub.label) for hub in Hub)),
            type=kind,
            types=(Option("", _("Any kind")), *(Option(key, FOLDER_LABELS[key]) for key in _OFFERED)),
            fitting=not everything,
            was_sent=bool(query.get("sent")),
            rows=_rows(request, listing),
            hidden=listing.hidden,
            problems=listing.problems,
            more=_more(kept, listing.cursors),
            memory_bytes=request.app[HUBS].memory_bytes(),
        ),
    )


@requires(Permission.MANAGE_MODELS)
async def updates(request: web.Request) -> web.Response:
    """Newer versions of all models whose origin is known, or of ``?model=``."""
    catalogue, browser = request.app[MODELS].catalogue, request.app[HUBS]
    named = request.query.get("model", "")
    models = (catalogue.resolve(named),) if named else catalogue.models
    found = await browser.check(models, by_hash=bool(named))
    return page(
        request,
        "hub_updates.html",
        HubUpdatesPage(
            model=models[0] if named else None,
            newer=tuple((item.model, item.newer) for item in found if item.newer is not None),
            problems=tuple((item.model, item.problem) for item in found if item.problem),
            checked=len(found),
        ),
    )


def _rows(request: web.Request, listing: Listing) -> tuple[HubRow, ...]:
    browser, here = request.app[HUBS], here_of(request.app[MODELS].catalogue)
    rows = []
    for model in listing.models:
        # What fits comes first, the largest of it before the others: that is the best quantisation for this machine.
        files = sorted(
            (file for file in model.files if file.readable),
            key=lambda file: (browser.file_fits(file) is Answer.NO, -(file.size or 0)),
        )
        rows.append(
            HubRow(
                model=model,
                fits=browser.fits(model),
                files=tuple((file, browser.file_fits(file)) for file in files[:_SHOWN_FILES]),
                more_files=max(0, len(files) - _SHOWN_FILES),
                previews=tuple(preview_url(key) for key in browser.preview_keys(model)[:3]),
                is_here=is_here(here, model),
            )
        )
    return tuple(rows)


def _more(kept: Mapping[str, str], cursors: Mapping[Hub, str]) -> str:
    """Where the hubs go on; empty where this was all."""
    further = {f"{hub}_cursor": cursor for hub, cursor in cursors.items()}
    return f"{HERE}?{urlencode({**kept, **further})}" if further else ""
