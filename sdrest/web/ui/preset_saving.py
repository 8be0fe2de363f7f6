"""Saving the Generate form: its settings as a preset, its prompts as a template."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import NotFound
from sdrest.core.model import ModelType
from sdrest.core.principal import Permission
from sdrest.registry.folders import Folders
from sdrest.registry.presets import save_preset, save_template
from sdrest.registry.saved_files import rename
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import validate
from sdrest.web.http.keys import MODELS
from sdrest.web.requests.presets import PresetParameters, forget_saved, saved_as_model
from sdrest.web.ui.fields import form_fields
from sdrest.web.ui.forms import Posted, body_values, read_form
from sdrest.web.ui.languages import _
from sdrest.web.ui.preset_choices import LISTED, read_saved
from sdrest.web.ui.rendering import is_htmx, part, see
from sdrest.web.ui.tabs import SAMPLING, SIZES, TABS, Tab

#: Kept in a preset whatever their values are: models have other defaults.
_ALWAYS: Final = frozenset({"model", *SIZES, *SAMPLING}) - {"seed", "batch_count"}


@requires(Permission.MANAGE_MODELS)
async def save(request: web.Request) -> web.StreamResponse:
    """Save the form's settings as a preset, or its prompts as a template."""
    tab = TABS.get(request.match_info["mode"])
    if tab is None or not tab.has_prompt:
        raise NotFound(_("there is nothing to save here"))
    posted = await read_form(request)
    name, overwrite = posted.texts.get("save_name", ""), posted.texts.get("save_overwrite") == "on"
    as_template = posted.texts.get("save_as") == "template"
    values = {} if as_template else _preset_of(tab, posted)

    def write(folders: Folders) -> Path:
        if as_template:
            texts = (posted.texts.get(field, "") for field in ("prompt", "negative_prompt"))
            return save_template(folders, name, *texts, overwrite=overwrite)
        return save_preset(folders, name, values, overwrite=overwrite)

    model = await saved_as_model(request.app[MODELS], write)
    if not is_htmx(request):
        return see(request, f"/ui/models/{model.id}")
    saved = await asyncio.to_thread(read_saved, request.app[MODELS].catalogue)
    embeddings = tuple(item.name for item in request.app[MODELS].catalogue.of_type(ModelType.EMBEDDING)[:LISTED])
    return part(request, "parts/saved_note.html", model=model, saved=saved, embeddings=embeddings)


@requires(Permission.MANAGE_MODELS)
async def rename_saved(request: web.Request) -> web.StreamResponse:
    """Give a preset or template another name, and go to its page."""
    registry, posted = request.app[MODELS], await read_form(request)
    model = registry.catalogue.resolve(request.match_info["model_id"])
    renamed = await saved_as_model(registry, lambda folders: rename(folders, model, posted.texts.get("name", "")))
    return see(request, f"/ui/models/{renamed.id}")


@requires(Permission.MANAGE_MODELS)
async def remove_saved(request: web.Request) -> web.StreamResponse:
    """Delete a preset or template, and go to the list."""
    await forget_saved(request.app[MODELS], request.match_info["model_id"])
    return see(request, "/ui/models")


def _preset_of(tab: Tab, posted: Posted) -> dict[str, Any]:
    """The form's parameters but the prompt, as far as they say anything.

    Raises:
        InvalidInput: a value is none that its field takes.
    """
    usual = {name: field.default for name, field in form_fields(tab.table, **_NOTHING).items()}
    texts = {name: text for name, text in posted.texts.items() if name in _ALWAYS or text != usual.get(name)}
    texts.pop("prompt", None)
    values = body_values(tab, Posted(texts=texts, lora_rows=posted.lora_rows), {})
    body = validate(
        PresetParameters, {name: values[name] for name in values.keys() & PresetParameters.model_fields.keys()}
    )
    found: dict[str, Any] = body.model_dump(mode="json", exclude_unset=True)
    return found


_NOTHING: Final[Mapping[str, Any]] = {"values": {}, "defaults": {}, "errors": {}, "model_options": {}}
