"""From a posted form to values that the body models check, and from their complaints back to the fields."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from PIL import Image

from sdrest.core.errors import FieldProblem, InvalidInput, ModelNotFound, ModelUnusable, NotFound, SdrestError
from sdrest.core.job import number_of
from sdrest.jobs.submission import Picture, mark_source
from sdrest.web.http.bodies import read_file, read_parts
from sdrest.web.requests.model_care import output_of
from sdrest.web.requests.pictures import Sent
from sdrest.web.requests.promises import pictures_or_promises
from sdrest.web.ui.fields import Kind, drawn_as, leaf_fields
from sdrest.web.ui.languages import _
from sdrest.web.ui.tabs import Tab

#: Form fields of the page itself.
_REFERENCE_SUFFIX: Final = "__ref"
#: What a page has made of an earlier output and sends as a file says so.
_SOURCE_SUFFIX: Final = "__of"


@dataclass(slots=True)
class Posted:
    """A posted form: its texts for drawing it again, and what came with it."""

    texts: dict[str, str] = field(default_factory=dict)
    lora_rows: list[tuple[str, str]] = field(default_factory=list)
    #: Uploaded files by field.
    files: dict[str, list[bytes]] = field(default_factory=dict)
    #: References to earlier outputs by field (``job:<id>/<file>``).
    references: dict[str, list[str]] = field(default_factory=dict)
    #: The earlier output (``job:<id>/<file>``) that the first uploaded file of a field is, or was made from.
    made_of: dict[str, str] = field(default_factory=dict)


async def read_form(request: web.Request) -> Posted:
    """Read a posted form, urlencoded or multipart; empty file fields are left out."""
    posted = Posted()
    names: list[str] = []
    multipliers: list[str] = []
    for name, value in (await read_parts(request)).items():
        if isinstance(value, web.FileField):
            data = await read_file(request, value)
            if data:
                posted.files.setdefault(name, []).append(data)
        elif isinstance(value, bytes | bytearray):
            continue
        elif name == "lora_name":
            names.append(value)
        elif name == "lora_multiplier":
            multipliers.append(value)
        elif name.endswith(_REFERENCE_SUFFIX):
            if value:
                posted.references.setdefault(name.removesuffix(_REFERENCE_SUFFIX), []).append(value)
        elif name.endswith(_SOURCE_SUFFIX):
            posted.made_of[name.removesuffix(_SOURCE_SUFFIX)] = value
        else:
            posted.texts[name] = value.replace("\r\n", "\n")
    multipliers += ["1"] * (len(names) - len(multipliers))
    posted.lora_rows = [(name, weight) for name, weight in zip(names, multipliers, strict=False) if name]
    return posted


def body_values(tab: Tab, posted: Posted, stale_defaults: Mapping[str, str]) -> dict[str, Any]:
    """The JSON value that the form stands for.

    Args:
        tab: The tab that was sent.
        posted: The form.
        stale_defaults: Defaults of a model other than the chosen one, with which the form was drawn: fields that still hold them
            were not set by the user, and are left out so that the chosen model's own apply.
    """
    shown = set(tab.field_names)
    values: dict[str, Any] = {}
    for name, _item, hint in leaf_fields(tab.table):
        text = posted.texts.get(name)
        if name not in shown or text is None or stale_defaults.get(name) == text:
            continue
        kind, _, _ = drawn_as(name, hint, picture=False)
        if text.strip() == "" and kind is not Kind.AREA:
            continue
        target = values
        *parents, last = name.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
        match kind:
            case Kind.SWITCH:
                target[last] = text == "on"
            case Kind.LIST:
                target[last] = [part for part in text.replace(";", ",").replace(" ", ",").split(",") if part]
            case _:
                target[last] = text
    if tab.has_loras and posted.lora_rows:
        values["loras"] = [{"name": name, "multiplier": weight or 1} for name, weight in posted.lora_rows]
    return values


async def read_form_pictures(request: web.Request, tab: Tab, posted: Posted) -> dict[str, list[Picture]]:
    """The pictures of a form, uploaded or referred to, decoded off the loop.

    Raises:
        InvalidInput: with one problem for each picture that is missing or cannot be used.
    """
    names = (*tab.pictures, *(name for group in tab.groups for name in group.fields))
    sent: dict[str, Sequence[Sent]] = {
        name: posted.files.get(name) or posted.references.get(name) or () for name in names
    }
    problems: list[FieldProblem] = []
    found: dict[str, list[Picture]] = {}
    try:
        found = await pictures_or_promises(request, {name: items for name, items in sent.items() if items})
    except InvalidInput as error:
        problems.extend(error.problems)
    problems += [
        FieldProblem(name, _("choose a picture") if name != "mask_image" else _("paint over what should change"))
        for name in tab.pictures
        if name in tab.required and not sent[name]
    ]
    if problems:
        raise InvalidInput(problems)
    for name, items in found.items():
        if posted.files.get(name) and isinstance(items[0], Image.Image):
            await _note_source(request, items[0], posted.made_of.get(name, ""))
    return found


async def _note_source(request: web.Request, picture: Image.Image, reference: str) -> None:
    """Note which output an uploaded picture is, or was made from, where the caller sees that."""
    with contextlib.suppress(NotFound):
        job, output = await output_of(request, reference)
        mark_source(picture, f"{job.id}/{number_of(output.file)}")


def field_errors(error: SdrestError, shown: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """What an error says about shown fields, by name, and what is left to say above the form."""
    names = set(shown)
    if isinstance(error, ModelNotFound | ModelUnusable):
        return {"model": error.message}, ()
    if not isinstance(error, InvalidInput):
        return {}, (error.message,)
    by_field: dict[str, str] = {}
    rest: list[str] = []
    for problem in error.problems:
        name = next((n for n in _prefixes(problem.field) if n in names), "")
        if problem.field.startswith("loras"):
            name = "loras"
        if name:
            by_field[name] = f"{by_field[name]}; {problem.message}" if name in by_field else problem.message
        else:
            rest.append(problem.message if problem.field == "body" else f"{problem.field}: {problem.message}")
    return by_field, tuple(rest)


def _prefixes(path: str) -> Iterable[str]:
    """``a.b.0``, ``a.b``, ``a``."""
    while path:
        yield path
        path = path.rpartition(".")[0]
