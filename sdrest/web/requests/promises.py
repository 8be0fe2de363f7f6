"""Pictures in requests that another job is still to make: ``job:<id>/<number>``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from sdrest.core.errors import FieldProblem, InvalidInput, NotFound
from sdrest.core.job import numbered
from sdrest.jobs.chains import Chains
from sdrest.jobs.submission import Picture, Promised
from sdrest.web.http.keys import JOBS, PRINCIPAL
from sdrest.web.requests.pictures import Sent, read_pictures

_REFERENCE: Final = re.compile(r"job:([^/]+)/(\d{1,6})")


async def pictures_or_promises(request: web.Request, sent: Mapping[str, Sequence[Sent]]) -> dict[str, list[Picture]]:
    """All pictures of a request, by field, as :func:`sdrest.web.requests.pictures.read_pictures`, but for those that a pending or
    running job will make: these are promised.

    Raises:
        InvalidInput: with one problem for each picture that cannot be used.
    """
    promises: dict[str, dict[int, Promised]] = {field: {} for field in sent}
    problems: list[FieldProblem] = []
    for field, items in sent.items():
        for index, item in enumerate(items):
            if not isinstance(item, str):
                continue
            try:
                promise = await _promised(request, item)
            except InvalidInput as error:
                name = field if len(items) == 1 else f"{field}.{index}"
                problems += [FieldProblem(name, f"{item}: {problem.message}") for problem in error.problems]
            else:
                if promise is not None:
                    promises[field][index] = promise
    if problems:
        raise InvalidInput(problems)
    rest = {field: [item for n, item in enumerate(items) if n not in promises[field]] for field, items in sent.items()}
    read = {field: iter(items) for field, items in (await read_pictures(request, rest)).items()}
    return {
        field: [promises[field].get(index) or next(read[field]) for index in range(len(items))]
        for field, items in sent.items()
    }


async def _promised(request: web.Request, text: str) -> Promised | None:
    """What a reference stands for, where that is still to be made; None for all else.

    Raises:
        InvalidInput: it will not be made.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    jobs = request.app[JOBS]
    try:
        job = await jobs.get(match[1], request[PRINCIPAL])
    except NotFound:  # said with all that is wrong with the pictures
        return None
    if job.is_finished or numbered(job.outputs, int(match[2])) is not None:
        return None
    return await Chains(jobs.store, jobs.files).promise(job, int(match[2]))
