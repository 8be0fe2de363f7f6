"""The Grids page: a form for many pictures at once, and a live table for each group."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import FieldProblem, InvalidInput, SdrestError
from sdrest.core.group import Axis, Group
from sdrest.core.job import TERMINAL_STATES, Job
from sdrest.core.parameters import limits_of, to_json
from sdrest.core.principal import Permission
from sdrest.outputs.sheets import layout
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import GROUPS, JOBS, PRINCIPAL
from sdrest.web.requests.axis_values import numbers_of, texts_of
from sdrest.web.requests.grids import Direction, cells, listed, rows_of_csv
from sdrest.web.requests.group_views import CellView, GroupSummary, GroupView, asked_group, summary_of, view_of
from sdrest.web.requests.grouping import submitted_group
from sdrest.web.requests.native_modes import MODES
from sdrest.web.requests.pictures import INPUT_PREFIX
from sdrest.web.ui.fields import Kind, Option, drawn_as, leaf_fields
from sdrest.web.ui.labels import STATE_LABELS, field_label
from sdrest.web.ui.languages import _
from sdrest.web.ui.rendering import is_htmx, page, page_number, part, see

_PAGE_LENGTH: Final = 24
_AXES: Final = ("x", "y", "z")
_REPLACE, _LORA = "replace", "lora"
#: Parameters that differ often, before all others.
_FIRST: Final = (
    "seed",
    "steps",
    "cfg_scale",
    "sampler",
    "scheduler",
    "model",
    "strength",
    "width",
    "height",
    "clip_skip",
)
_KINDS: Final = frozenset({Kind.NUMBER, Kind.LINE, Kind.CHOICE, Kind.SWITCH})
#: Modes by the type of the job that a form is filled with.
_MODE_OF: Final = {mode.job_type: name for name, mode in MODES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsPage:
    """Groups, newest first."""

    items: tuple[GroupSummary, ...]
    total: int
    page: int
    pages: int
    can_generate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisRow:
    """One row of the form: what differs, which words or LoRA, and the values."""

    name: str
    kind: str = ""
    of: str = ""
    values: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupForm:
    """The form, as it was sent or filled."""

    name: str = ""
    mode: str = "text2img"
    prompt: str = ""
    parameters: str = ""
    csv: str = ""
    axes: tuple[AxisRow, ...] = tuple(AxisRow(name=name) for name in _AXES)
    kinds: tuple[Option, ...] = ()
    modes: tuple[Option, ...] = ()
    errors: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """One group: its tables, each of rows of cells."""

    group: GroupView
    status_label: str
    is_over: bool
    columns: tuple[str, ...]
    tables: tuple[tuple[str, tuple[tuple[str, tuple[CellView, ...]], ...]], ...]
    can_generate: bool
    state_labels: Mapping[Any, str]


async def show(request: web.Request) -> web.Response:
    """All groups of the caller."""
    number, principal = page_number(request), request[PRINCIPAL]
    groups = request.app[GROUPS]
    total = await groups.count(principal)
    found = await groups.find(principal, limit=_PAGE_LENGTH, offset=(number - 1) * _PAGE_LENGTH)
    context = GroupsPage(
        items=tuple([await summary_of(request, group, "") for group in found]),
        total=total,
        page=number,
        pages=-(-total // _PAGE_LENGTH),
        can_generate=principal.may(Permission.GENERATE),
    )
    return page(request, "groups.html", context)


async def ask(request: web.Request) -> web.Response:
    """The form; with ``?job=<id>`` filled with a job's parameters."""
    form = GroupForm(**_choices("text2img"))
    if request.query.get("job"):
        job = await request.app[JOBS].get(request.query["job"], request[PRINCIPAL])
        form = _form_of(job)
    return page(request, "group_form.html", form)


@requires(Permission.GENERATE)
async def submit(request: web.Request) -> web.StreamResponse:
    """Queue what the form asks for, and go to its table; the form again where something is wrong."""
    texts = {
        name: value.replace("\r\n", "\n")
        for name, value in (await read_parts(request)).items()
        if isinstance(value, str)
    }
    mode = texts.get("mode") if texts.get("mode") in MODES else "text2img"
    assert mode is not None
    rows = tuple(_row_of(name, texts) for name in _AXES)
    try:
        parameters = _parameters_of(texts)
        axes, wanted = _asked(mode, parameters, rows, texts.get("csv", "").strip())
        name = texts.get("name", "").strip()[:200]
        is_list = bool(texts.get("csv", "").strip())
        group = await submitted_group(request, MODES[mode], name, axes, wanted, is_list=is_list)
    except SdrestError as error:
        form = GroupForm(
            name=texts.get("name", ""),
            mode=mode,
            prompt=texts.get("prompt", ""),
            parameters=texts.get("parameters", ""),
            csv=texts.get("csv", ""),
            axes=rows,
            errors=_told(error),
            **_choices(mode),
        )
        return page(request, "group_form.html", form, status=status_of(error))
    return see(request, f"/ui/groups/{group.id}")


async def show_group(request: web.Request) -> web.Response:
    """One group, or for htmx only its table."""
    group = await asked_group(request)
    context = await _page(request, group)
    if is_htmx(request):
        return part(request, "parts/group_table.html", page=context)
    return page(request, "group.html", context)


async def cancel(request: web.Request) -> web.StreamResponse:
    """Cancel what has not ended."""
    group = await asked_group(request)
    await request.app[GROUPS].cancel(group, request[PRINCIPAL])
    return see(request, f"/ui/groups/{group.id}")


async def retry(request: web.Request) -> web.StreamResponse:
    """Queue again what failed or was cancelled."""
    group = await asked_group(request)
    await request.app[GROUPS].retry(group, request[PRINCIPAL])
    return see(request, f"/ui/groups/{group.id}")


async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a group with its jobs and pictures."""
    await request.app[GROUPS].remove(await asked_group(request), request[PRINCIPAL])
    return see(request, "/ui/groups")


async def _page(request: web.Request, group: Group) -> GroupPage:
    view = await view_of(request, group, "")
    columns, rows, tables = layout(group)
    found = []
    for table in range(tables):
        lines = []
        for row in range(rows):
            start = (table * rows + row) * columns
            label = group.axes[1].values[row] if len(group.axes) > 1 else ""
            lines.append((label, tuple(view["cells"][start : start + columns])))
        title = f"{group.axes[2].label}: {group.axes[2].values[table]}" if len(group.axes) > 2 else ""
        found.append((title, tuple(lines)))
    labels = {str(state): label for state, label in STATE_LABELS.items()} | {"removed": _("Deleted")}
    return GroupPage(
        group=view,
        status_label=labels[view["status"]],
        is_over=view["status"] in {str(state) for state in TERMINAL_STATES},
        columns=() if group.is_list else group.axes[0].values,
        tables=tuple(found),
        can_generate=request[PRINCIPAL].may(Permission.GENERATE),
        state_labels=labels,
    )


def _choices(mode: str) -> dict[str, Any]:
    """What can differ in a mode, and which modes there are."""
    fields = _drawn(mode)
    kinds = [name for name, kind in fields.items() if kind in _KINDS and name not in {"prompt", "negative_prompt"}]
    ordered = [*(name for name in _FIRST if name in kinds), *(name for name in kinds if name not in _FIRST)]
    return {
        "kinds": (
            Option("", _("Nothing")),
            Option(_REPLACE, _("Words of the prompt")),
            Option(_LORA, _("Weight of a LoRA")),
            *(Option(name, field_label(name)) for name in ordered),
        ),
        "modes": tuple(Option(name, name) for name in MODES),
    }


def _form_of(job: Job) -> GroupForm:
    mode = _MODE_OF.get(job.type, "text2img")
    names, pictures = MODES[mode].names, MODES[mode].picture_parameters
    usual = to_json(MODES[mode].table())
    given: dict[str, Any] = {}
    for name, value in job.parameters.items():
        if value != usual.get(name) and name not in {"prompt", "seed"}:
            given[names.get(name, name)] = _references(job, value) if name in pictures else value
    if "model" in given:  # jobs name it by id
        given["model"] = job.model_name
    text = json.dumps(given, ensure_ascii=False, indent=1)
    return GroupForm(mode=mode, prompt=str(job.parameters.get("prompt", "")), parameters=text, **_choices(mode))


def _references(job: Job, files: str | list[str]) -> str | list[str]:
    """How a request names input pictures of a job."""
    if isinstance(files, str):
        return f"job:{job.id}/{INPUT_PREFIX}{files}"
    return [f"job:{job.id}/{INPUT_PREFIX}{file}" for file in files]


def _row_of(name: str, texts: Mapping[str, str]) -> AxisRow:
    kind, of, values = (texts.get(f"{name}_{part}", "") for part in ("kind", "of", "values"))
    return AxisRow(name=name, kind=kind, of=of, values=values)


def _drawn(mode: str) -> dict[str, Kind]:
    """How the fields of a mode are drawn, by dotted name."""
    leaves = leaf_fields(MODES[mode].table)
    return {name: drawn_as(name, hint, picture=limits_of(item).picture)[0] for name, item, hint in leaves}


def _parameters_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that all jobs have in common.

    Raises:
        InvalidInput: they are no JSON object.
    """
    try:
        found = json.loads(texts.get("parameters", "").strip() or "{}")
    except ValueError as error:
        raise InvalidInput(f"is no JSON: {error}", field="parameters") from None
    if not isinstance(found, dict):
        raise InvalidInput(_("must be a JSON object, in braces"), field="parameters")
    if texts.get("prompt", "").strip():
        found["prompt"] = texts["prompt"].strip()
    return found


def _asked(
    mode: str, parameters: Mapping[str, Any], rows: tuple[AxisRow, ...], csv: str
) -> tuple[list[Axis], list[dict[str, Any]]]:
    """How the jobs differ, and what each of them is.

    Raises:
        InvalidInput: nothing differs, or both ways are filled in, or values are wrong.
    """
    used = [row for row in rows if row.kind]
    if bool(used) == bool(csv):
        raise InvalidInput(_("fill in either the axes or the list"), field="x")
    if csv:
        axis, wanted = listed(parameters, rows_of_csv(csv))
        return [axis], wanted
    directions = [_direction(mode, row) for row in used]
    return [direction.axis for direction in directions], cells(parameters, directions)


def _direction(mode: str, row: AxisRow) -> Direction:
    is_number = row.kind == _LORA or _drawn(mode).get(row.kind) is Kind.NUMBER
    try:
        values: list[Any] = [*numbers_of(row.values)] if is_number else [*texts_of(row.values)]
    except InvalidInput as error:
        raise InvalidInput(FieldProblem(row.name, problem.message) for problem in error.problems) from None
    if row.kind == _REPLACE:
        return Direction(replace=row.of or str(values[0]), values=values)
    if row.kind == _LORA:
        if not row.of.strip():
            raise InvalidInput(_("name the LoRA"), field=row.name)
        return Direction(lora=row.of.strip(), values=values)
    names = MODES[mode].names
    head, dot, rest = row.kind.partition(".")
    return Direction(field=names.get(row.kind, names.get(head, head) + dot + rest), values=values)


def _told(error: SdrestError) -> tuple[str, ...]:
    if not isinstance(error, InvalidInput):
        return (error.message,)
    return tuple(f"{problem.field}: {problem.message}" for problem in error.problems)
