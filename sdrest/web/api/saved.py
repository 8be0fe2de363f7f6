"""Saving presets and prompt templates. They are listed with the models, by their types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.model import Model
from sdrest.core.principal import Permission
from sdrest.registry.folders import Folders
from sdrest.registry.presets import save_preset, save_template
from sdrest.registry.saved_files import rename
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_body, read_json, validate
from sdrest.web.http.keys import MODELS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.presets import PresetParameters, canonical, forget_saved, saved_as_model

_NAME: Final = "1 to 100 letters, digits, spaces and . _ - + ( )"
_OVERWRITE: Final = "Replace one of the same name; otherwise that is a conflict."


class PresetBody(Body):
    """A preset to save."""

    name: str = Field(min_length=1, max_length=100, description=f"Its name: {_NAME}.")
    description: str = Field("", max_length=4000, description="What it is good for.")
    parameters: PresetParameters = Field(description="Parameters of a generation, without pictures.")  # type: ignore[valid-type]
    overwrite: bool = Field(False, description=_OVERWRITE)


class TemplateBody(Body):
    """A prompt template to save; at least one of the texts."""

    name: str = Field(min_length=1, max_length=100, description=f"Its name: {_NAME}.")
    prompt: str = Field(
        "", max_length=20_000, description="Text around the prompt, which stands at {prompt}, else before it."
    )
    negative_prompt: str = Field("", max_length=20_000, description="The same for the negative prompt.")
    overwrite: bool = Field(False, description=_OVERWRITE)


class NameBody(Body):
    """Another name."""

    name: str = Field(min_length=1, max_length=100, description=f"The new name: {_NAME}.")


class Removed(TypedDict):
    """It is gone."""

    success: bool


class Saved(TypedDict):
    """What was saved, as it is listed among the models."""

    id: str
    name: str
    type: str
    path: str


@requires(Permission.MANAGE_MODELS)
@operation("models", body=PresetBody, reply=Saved, status=201, errors=(409, 507))
async def preset(request: web.Request) -> web.Response:
    """Save generation parameters under a name, for `preset` in later requests."""
    value = await read_json(request)
    if isinstance(value, Mapping) and isinstance(value.get("parameters"), Mapping):
        value = {**value, "parameters": canonical(value["parameters"])}
    body = validate(PresetBody, value)
    parameters = cast("Body", body.parameters).model_dump(mode="json", exclude_unset=True)

    def save(folders: Folders) -> Path:
        return save_preset(folders, body.name, parameters, body.description, overwrite=body.overwrite)

    return _reply(await saved_as_model(request.app[MODELS], save))


@requires(Permission.MANAGE_MODELS)
@operation("models", body=TemplateBody, reply=Saved, status=201, errors=(409, 507))
async def template(request: web.Request) -> web.Response:
    """Save a prompt template under a name, for `prompt_template` (or `negative_prompt_template`) in later requests."""
    body = await read_body(TemplateBody, request)

    def save(folders: Folders) -> Path:
        return save_template(folders, body.name, body.prompt, body.negative_prompt, overwrite=body.overwrite)

    return _reply(await saved_as_model(request.app[MODELS], save))


@requires(Permission.MANAGE_MODELS)
@operation("models", body=NameBody, reply=Saved, errors=(403, 404, 409, 507))
async def rename_saved(request: web.Request) -> web.Response:
    """Give a preset or a prompt template another name; its id changes with it."""
    body = await read_body(NameBody, request)
    registry = request.app[MODELS]
    model = registry.catalogue.resolve(request.match_info["model_id"])
    return _reply(await saved_as_model(registry, lambda folders: rename(folders, model, body.name)), status=200)


@requires(Permission.MANAGE_MODELS)
@operation("models", reply=Removed, errors=(400, 403, 507))
async def remove_saved(request: web.Request) -> web.Response:
    """Delete a preset or a prompt template."""
    await forget_saved(request.app[MODELS], request.match_info["model_id"])
    return json_reply({"success": True})


def _reply(model: Model, *, status: int = 201) -> web.Response:
    reply: Saved = {"id": model.id, "name": model.name, "type": model.type.slug, "path": model.relative_path}
    return json_reply(reply, status=status)


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/models/presets", preset),
    ("POST", "/models/templates", template),
    ("PATCH", "/models/saved/{model_id}", rename_saved),
    ("DELETE", "/models/saved/{model_id}", remove_saved),
)
