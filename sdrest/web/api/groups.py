"""Groups of jobs: grids along up to three axes, and lists, submitted, watched, cancelled and tried again as one."""

from __future__ import annotations

from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.outputs.sheets import html_sheet, png_sheet
from sdrest.web.api.generate import SUBMIT_ERRORS
from sdrest.web.http.bodies import Body, idempotency_key, parse_query, read_body
from sdrest.web.http.keys import GROUPS, PRINCIPAL
from sdrest.web.http.mounting import base_of
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.grids import Direction, cells, listed, rows_of_csv
from sdrest.web.requests.group_views import GroupSummary, GroupView, asked_group, sheet_of, summary_of, view_of
from sdrest.web.requests.grouping import submitted_group
from sdrest.web.requests.native_modes import MODES


class AxisBody(Body):
    """One direction of a grid. Exactly one of `field`, `replace` and `lora` says what differs."""

    field: str = Field("", max_length=200, description="A parameter of the mode; `hires.scale` is one within another.")
    replace: str = Field(
        "",
        max_length=2000,
        description="Words of the prompts; each value is put in their place, the first one often itself.",
    )
    lora: str = Field("", max_length=500, description="Name of a LoRA; the values are its weights.")
    values: list[Any] = Field(min_length=1, max_length=bounds.GROUP_JOBS, description="The values along it.")


class GroupBody(Body):
    """Many jobs: `parameters` for all of them, and what differs, as `axes`, or as `rows` or `csv`."""

    name: str = Field("", max_length=200, description="What the group is called.")
    mode: Literal["text2img", "img2img", "inpainting", "controlnet", "upscale", "video"] = Field(
        "text2img", description="The route of /generate whose parameters these are."
    )
    parameters: dict[str, Any] = Field(default_factory=dict, description="What all jobs have in common.")
    axes: list[AxisBody] = Field(default_factory=list, max_length=3, description="X, Y and Z of a grid.")
    rows: list[dict[str, Any]] = Field(
        default_factory=list, max_length=bounds.GROUP_JOBS, description="A list: the parameters of each job."
    )
    csv: str = Field(
        "",
        max_length=bounds.GROUP_CSV,
        description="A list as CSV: the first line names parameters, each other one is a job.",
    )
    idempotency_key: str = Field(
        "",
        max_length=bounds.IDEMPOTENCY_KEY,
        description="A repeated request with the same key gives the same group.",
    )


class GroupsQuery(Body):
    """Which groups to list."""

    limit: int = Field(20, ge=1, le=100, description="Groups on a page.")
    offset: int = Field(0, ge=0, le=10**9, description="Groups to skip.")


class GroupsPage(TypedDict):
    """A page of groups, newest first, and how many there are."""

    total: int
    items: list[GroupSummary]


class Changed(TypedDict):
    """How many jobs that was done to."""

    success: bool
    jobs: int


class Removed(TypedDict):
    """It was deleted."""

    success: bool


@operation("groups", body=GroupBody, reply=GroupView, status=202, errors=SUBMIT_ERRORS)
async def submit(request: web.Request) -> web.Response:
    """Queue many jobs as one group: all are stored, or none.

    A grid has the cells of up to three axes, the first one first; a random seed is drawn once for all of it. A list has one job for
    each row. Input pictures are the same for all. The jobs are queued so that models change as seldom as can be. A repeated request
    with the same `Idempotency-Key` gives the same group.
    """
    body = await read_body(GroupBody, request)
    ways = {"axes": body.axes, "rows": body.rows, "csv": body.csv.strip()}
    given = [name for name, value in ways.items() if value]
    if len(given) != 1:
        raise InvalidInput("exactly one of axes, rows and csv says what differs", field=given[1] if given else "axes")
    if body.axes:
        directions = [_direction(number, axis) for number, axis in enumerate(body.axes)]
        axes, wanted = [direction.axis for direction in directions], cells(body.parameters, directions)
    else:
        axis, wanted = listed(body.parameters, body.rows or rows_of_csv(body.csv))
        axes = [axis]
    group = await submitted_group(
        request,
        MODES[body.mode],
        body.name,
        axes,
        wanted,
        is_list=not body.axes,
        idempotency_key=body.idempotency_key or idempotency_key(request),
    )
    headers = {"Location": f"/api/groups/{group.id}"}
    return json_reply(await view_of(request, group, base_of(request.app)), status=202, headers=headers)


def _direction(number: int, axis: AxisBody) -> Direction:
    if sum(map(bool, (axis.field, axis.replace, axis.lora))) != 1:
        raise InvalidInput([FieldProblem(f"axes.{number}", "exactly one of field, replace and lora says what differs")])
    return Direction(field=axis.field.strip(), replace=axis.replace, lora=axis.lora.strip(), values=axis.values)


@operation("groups", query=GroupsQuery, reply=GroupsPage)
async def listing(request: web.Request) -> web.Response:
    """List groups, newest first. Only the caller's own, without the permission `manage_queue`."""
    query = parse_query(GroupsQuery, request)
    groups, principal, base = request.app[GROUPS], request[PRINCIPAL], base_of(request.app)
    found = await groups.find(principal, limit=query.limit, offset=query.offset)
    items = [await summary_of(request, group, base) for group in found]
    return json_reply({"total": await groups.count(principal), "items": items})


@operation("groups", reply=GroupView)
async def show(request: web.Request) -> web.Response:
    """A group with the job of each place: where it was tried again, the newest."""
    return json_reply(await view_of(request, await asked_group(request), base_of(request.app)))


@operation("groups", reply=Changed)
async def cancel(request: web.Request) -> web.Response:
    """Cancel all jobs of a group that have not ended."""
    number = await request.app[GROUPS].cancel(await asked_group(request), request[PRINCIPAL])
    return json_reply({"success": True, "jobs": number})


@operation("groups", reply=Changed, errors=SUBMIT_ERRORS)
async def retry(request: web.Request) -> web.Response:
    """Queue again those jobs of a group that failed or were cancelled, with the same parameters and seeds."""
    number = await request.app[GROUPS].retry(await asked_group(request), request[PRINCIPAL])
    return json_reply({"success": True, "jobs": number})


@operation("groups", reply=Removed, errors=(409,))
async def remove(request: web.Request) -> web.Response:
    """Delete a group whose jobs have all ended, with its jobs and their files."""
    await request.app[GROUPS].remove(await asked_group(request), request[PRINCIPAL])
    return json_reply({"success": True})


@operation("groups", reply=Reply(None, "image/png"))
async def png(request: web.Request) -> web.Response:
    """The contact sheet: the first picture of each place, with labels, as far as they are finished."""
    data = await sheet_of(request, await asked_group(request), png_sheet)
    return web.Response(body=data, content_type="image/png")


@operation("groups", reply=Reply(None, "text/html"))
async def page(request: web.Request) -> web.Response:
    """The contact sheet as one HTML file, with its pictures in it."""
    group = await asked_group(request)
    data = await sheet_of(request, group, html_sheet)
    headers = {"Content-Disposition": f'attachment; filename="group-{group.id[:8]}.html"'}
    return web.Response(body=data, content_type="text/html", charset="utf-8", headers=headers)


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/groups", submit),
    ("GET", "/groups", listing),
    ("GET", "/groups/{group_id}", show),
    ("DELETE", "/groups/{group_id}", remove),
    ("POST", "/groups/{group_id}/cancel", cancel),
    ("POST", "/groups/{group_id}/retry", retry),
    ("GET", "/groups/{group_id}/sheet.png", png),
    ("GET", "/groups/{group_id}/sheet.html", page),
)
