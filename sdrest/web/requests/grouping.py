"""The one way from a request to a group of jobs."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from PIL import Image

from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.group import Axis, Group
from sdrest.jobs.submission import Submission
from sdrest.web.http.keys import HELD, INTAKE, PRINCIPAL
from sdrest.web.requests.submission import Mode, Pictures, submission

#: Problems that are told at once.
_TOLD: Final = 20
#: What belongs to one job of its own.
_NOT_HERE: Final = ("idempotency_key", "webhook_url")


async def submitted_group(
    request: web.Request,
    mode: Mode,
    name: str,
    axes: Sequence[Axis],
    cells: Sequence[Mapping[str, Any]],
    *,
    is_list: bool = False,
    idempotency_key: str = "",
    pictures: Pictures | None = None,
    origin: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
) -> Group:
    """The stored group that a request asks for; the earlier one, where it repeats a request.

    Args:
        request: Who asks.
        mode: The way in for each of its jobs.
        name: What the group is called.
        axes: How its cells differ.
        cells: What the client sent for each, in order; the pictures of the first are those of all.
        is_list: Whether it is a list.
        idempotency_key: Tells a repeated request; empty for none.
        pictures: The pictures, by parameter, of a way in that reads them itself.
        origin: What the way in wants to know of the jobs later.
        warnings: What the way in passed over.

    Raises:
        InvalidInput: all that is wrong with any of them, each problem once.
        SdrestError: as :meth:`sdrest.jobs.intake.Intake.submit_group`.
    """
    group = Group(
        id=str(uuid.uuid4()),
        principal=request[PRINCIPAL].name,
        name=name,
        created_at=datetime.now(UTC),
        axes=tuple(axes),
        is_list=is_list,
        idempotency_key=idempotency_key,
    )
    asked: list[Submission] = []
    problems: dict[tuple[str, str], FieldProblem] = {}
    for place, cell in enumerate(cells):
        try:
            _check_cell(mode, cell, cells[0])
            read = asked[0].pictures if asked else pictures or {}
            item = await submission(request, mode, cell, pictures=read, origin=origin or {}, warnings=warnings)
        except InvalidInput as error:
            where = ", ".join(group.labels(place))
            for problem in error.problems:
                told = dataclasses.replace(problem, message=f"{problem.message} (at {where})")
                problems.setdefault((problem.field, problem.message), told)
            if len(problems) >= _TOLD:
                break
        else:
            asked.append(dataclasses.replace(item, idempotency_key=""))
    if problems:
        raise InvalidInput(problems.values())
    with mode.naming():
        stored = await request.app[INTAKE].submit_group(group, asked)
    decoded = [item for items in asked[0].pictures.values() for item in items if isinstance(item, Image.Image)]
    request[HELD].keep(decoded)
    request[HELD].done_with_pictures()
    return stored


def _check_cell(mode: Mode, cell: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Refuse what a group cannot have.

    Raises:
        InvalidInput: a key or address of its own, or pictures that differ.
    """
    problems = [
        FieldProblem(name, "is for single jobs, not for those of a group") for name in _NOT_HERE if cell.get(name)
    ]
    pictures = {mode.names.get(name, name) for name in mode.picture_parameters}
    problems += [
        FieldProblem(name, "the jobs of a group have the same input pictures")
        for name in pictures
        if cell.get(name) != first.get(name)
    ]
    if problems:
        raise InvalidInput(problems)
