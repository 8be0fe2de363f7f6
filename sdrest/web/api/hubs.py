"""Models on CivitAI and Hugging Face: searching, pictures, and newer versions of what is here."""

from __future__ import annotations

from typing import Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.errors import InvalidInput, did_you_mean
from sdrest.core.principal import Permission
from sdrest.registry.folders import BY_KEY
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, parse_query
from sdrest.web.http.keys import HUBS, MODELS
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.hub_views import here_of, is_here, preview_url
from sdrest.work.hubs.browsing import Checked, HubBrowser
from sdrest.work.hubs.values import Answer, Hub, HubModel

_CACHE_CONTROL: Final = "private, max-age=86400"


class SearchQuery(Body):
    """What to look for, and where."""

    query: str = Field("", max_length=200, description="Words.")
    hub: Literal["", "civitai", "huggingface"] = Field("", description="Which hub; empty: both.")
    type: str = Field("", max_length=50, description="Kind of folder: checkpoints, lora, vae …; empty: any.")
    runs: bool = Field(True, description="Leave out what the library cannot run.")
    fits: bool = Field(True, description="Leave out what does not fit the memory.")
    limit: int = Field(20, ge=1, le=50, description="Models of each hub on a page.")
    civitai_cursor: str = Field("", max_length=1000, description="`cursors.civitai` of the page before.")
    huggingface_cursor: str = Field("", max_length=1000, description="`cursors.huggingface` of the page before.")


class UpdatesQuery(Body):
    """Which models to check."""

    model: str = Field("", max_length=500, description="Name or id of one model; empty: all whose origin is known.")


class HubFileView(TypedDict):
    """A file; `source` and `type` are for `POST /api/models/download`. Bytes, or null where the hub tells no size."""

    name: str
    source: str
    type: str
    size: int | None
    sha256: str | None
    readable: bool
    fits: Answer


class HubModelView(TypedDict):
    """A model in its newest version. `previews` are addresses of this server; `here`: a file of it is in the model folders."""

    hub: Hub
    id: str
    name: str
    creator: str
    type: str
    base_model: str
    family: str | None
    version: str
    licence: str
    trigger_words: list[str]
    rating: str
    downloads: int
    page: str
    gated: bool
    runs: Answer
    fits: Answer
    here: bool
    files: list[HubFileView]
    previews: list[str]


class HubListing(TypedDict):
    """What was found; how many were left out; where each hub goes on; which hubs could not be asked, and why."""

    models: list[HubModelView]
    hidden: int
    cursors: dict[str, str]
    memory_bytes: int
    problems: list[str]


class UpdateView(TypedDict):
    """A model that is here; `newer` is null when it is the newest, or when `problem` says why that is not known."""

    id: str
    name: str
    newer: dict[str, str] | None
    problem: str


class Updates(TypedDict):
    """What was checked."""

    models: list[UpdateView]


@requires(Permission.MANAGE_MODELS)
@operation("hubs", query=SearchQuery, reply=HubListing)
async def search(request: web.Request) -> web.Response:
    """Search CivitAI and Hugging Face for models that run here.

    A hub that cannot be asked is told in `problems`; the other's models come all the same.
    """
    query, browser = parse_query(SearchQuery, request), request.app[HUBS]
    if query.type and query.type not in BY_KEY:
        raise InvalidInput(f"unknown kind {query.type!r}{did_you_mean(query.type, BY_KEY)}", field="type")
    cursors = {Hub.CIVITAI: query.civitai_cursor, Hub.HUGGING_FACE: query.huggingface_cursor}
    found = await browser.search(
        query.query.strip(),
        hubs=(Hub(query.hub),) if query.hub else tuple(Hub),
        kind=query.type,
        runs=query.runs,
        fits=query.fits,
        limit=query.limit,
        cursors=cursors if any(cursors.values()) else None,
    )
    here = here_of(request.app[MODELS].catalogue)
    reply: HubListing = {
        "models": [hub_model_view(base_of(request.app), browser, here, model) for model in found.models],
        "hidden": found.hidden,
        "cursors": {str(hub): cursor for hub, cursor in found.cursors.items()},
        "memory_bytes": browser.memory_bytes(),
        "problems": list(found.problems),
    }
    return json_reply(reply)


def hub_model_view(
    base: str, browser: HubBrowser, here: tuple[frozenset[str], frozenset[str]], model: HubModel
) -> HubModelView:
    """A model on a hub as programs see it."""
    return {
        "hub": model.hub,
        "id": model.id,
        "name": model.name,
        "creator": model.creator,
        "type": model.type,
        "base_model": model.base_model,
        "family": str(model.family) if model.family else None,
        "version": model.version,
        "licence": model.licence,
        "trigger_words": list(model.trigger_words),
        "rating": model.rating.slug,
        "downloads": model.downloads,
        "page": model.page,
        "gated": model.gated,
        "runs": model.runs,
        "fits": browser.fits(model),
        "here": is_here(here, model),
        "files": [
            {
                "name": file.name,
                "source": file.source,
                "type": file.type,
                "size": file.size,
                "sha256": file.sha256 or None,
                "readable": file.readable,
                "fits": browser.file_fits(file),
            }
            for file in model.files
        ],
        "previews": [base + preview_url(key) for key in browser.preview_keys(model)],
    }


@requires(Permission.MANAGE_MODELS)
@operation("hubs", reply=Reply(None, "image/jpeg", "The picture"), errors=(400, 503))
async def preview(request: web.Request) -> web.Response:
    """A small copy of a picture that a search found; its host is asked once, and is told no key."""
    data = await request.app[HUBS].previews.jpeg(request.match_info["key"])
    return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": _CACHE_CONTROL})


@requires(Permission.MANAGE_MODELS)
@operation("hubs", query=UpdatesQuery, reply=Updates, errors=(404,))
async def updates(request: web.Request) -> web.Response:
    """Look for newer versions of models that are here: of all whose origin is kept beside them, or of one, also by its hash."""
    query, catalogue = parse_query(UpdatesQuery, request), request.app[MODELS].catalogue
    models = (catalogue.resolve(query.model),) if query.model else catalogue.models
    found = await request.app[HUBS].check(models, by_hash=bool(query.model))
    return json_reply({"models": [_update_view(item) for item in found]})


def _update_view(item: Checked) -> UpdateView:
    newer = item.newer
    told = (
        {"hub": str(newer.hub), "version": newer.version, "page": newer.page, "source": newer.source} if newer else None
    )
    return {"id": item.model.id, "name": item.model.name, "newer": told, "problem": item.problem}


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/hubs/search", search),
    ("GET", "/hubs/updates", updates),
    ("GET", "/hubs/previews/{key}", preview),
)
