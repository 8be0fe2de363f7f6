"""The System page: the machine, the server, its log, its settings."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil
from aiohttp import web
from pydantic import SecretStr

from sdrest import __version__
from sdrest.core.errors import InvalidInput
from sdrest.core.job import JobState, JobType
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter
from sdrest.settings import AuthMode
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import read_parts
from sdrest.web.http.errors import status_of
from sdrest.web.http.keys import ENGINES, JOBS, LIFECYCLE, MODELS, PRINCIPAL, RESIDENCY, SETTINGS
from sdrest.web.requests.borrowing import borrow, lender_states, lending_of
from sdrest.web.requests.engine_views import backend_name
from sdrest.web.ui.filters import decimal_text, milliseconds_text, number_text, seconds_text, size_text
from sdrest.web.ui.labels import ENGINE_LABELS
from sdrest.web.ui.languages import _
from sdrest.web.ui.logbook import LOGBOOK
from sdrest.web.ui.page_contexts import Chart, Device, Fact, SystemPage
from sdrest.web.ui.rendering import is_htmx, page, part, see
from sdrest.web.ui.samples import SAMPLES

_CHARTED_JOBS: Final = 100
_LOG_LINES: Final = 200
_SAMPLED: Final = frozenset({JobType.TXT2IMG, JobType.IMG2IMG, JobType.INPAINT, JobType.CONTROLNET})


async def show(request: web.Request) -> web.Response:
    """Everything about the machine and the server, or for htmx only what changes by the minute."""
    context = await _page(request)
    if is_htmx(request):
        return part(request, "parts/system_now.html", page=context)
    return page(request, "system.html", context)


@requires(Permission.ADMIN)
async def restart(request: web.Request) -> web.StreamResponse:
    """Restart the server; running jobs go back to the queue."""
    request.app[LIFECYCLE].restart()
    return see(request, "/ui/system?restarting=1")


@requires(Permission.ADMIN)
async def borrow_folders(request: web.Request) -> web.StreamResponse:
    """Take the lines of the form as the folders of other programs that are read beside those of the settings."""
    lines = str((await read_parts(request)).get("folders", "")).splitlines()
    try:
        await borrow(request, lines)
    except InvalidInput as error:
        told = "; ".join(problem.message for problem in error.problems)
        context = await _page(request, borrowed=tuple(lines), problem=told)
        return page(request, "system.html", context, status=status_of(error))
    return see(request, "/ui/system#borrowed")


async def _page(request: web.Request, *, borrowed: tuple[str, ...] | None = None, problem: str = "") -> SystemPage:
    app, principal = request.app, request[PRINCIPAL]
    settings = app[SETTINGS]
    is_admin = principal.may(Permission.ADMIN)
    info = app[ENGINES].library
    names = {model.id: model.name for model in app[MODELS].catalogue.models}
    return SystemPage(
        server=tuple(_server(app)),
        machine=tuple(await asyncio.to_thread(lambda: list(_machine(settings.output_dir)))),
        devices=tuple(
            Device(
                name=device.name,
                description=device.description,
                backend=device.backend,
                free=device.memory_free,
                total=device.memory_total,
            )
            for device in (info.devices if info else ())
        ),
        charts=await _charts(request),
        loaded=tuple(sorted(names.get(model_id, model_id) for model_id in app[RESIDENCY].model_ids)),
        lenders=await lender_states(request) if is_admin else (),
        borrowed=(lending_of(request).added if borrowed is None else borrowed) if is_admin else (),
        problem=problem,
        is_admin=is_admin,
        can_restart=is_admin and app[LIFECYCLE].can_restart,
        settings=tuple(Fact(name, _shown(value)) for name, value in settings) if is_admin else (),
        log=tuple(app[LOGBOOK].lines)[-_LOG_LINES:] if is_admin else (),
        with_accounts=is_admin and settings.auth is not AuthMode.NONE,
        with_workers=principal.may(Permission.MANAGE_QUEUE),
    )


def _server(app: web.Application) -> Iterator[Fact]:
    engines = app[ENGINES]
    info = engines.library
    yield Fact(_("Version"), f"sdrest {__version__}")
    yield Fact(_("Library"), f"{info.version} ({info.commit})" if info else _("not loaded yet"))
    yield Fact(_("Backend"), backend_name(app) or "–")
    yield Fact(_("Up for"), seconds_text(app[LIFECYCLE].up_seconds))
    for item in engines:
        title = " ".join((_("Engine"), *item.name.split("-", 1)[1:]))
        yield Fact(title, item.problem.message if item.problem else ENGINE_LABELS[item.state])
        yield Fact(_("%(engine)s restarts", engine=title), str(item.restarts))
        yield Fact(_("%(engine)s memory", engine=title), size_text(item.memory_bytes))
    if info:
        yield Fact(_("Instructions"), _instructions(info.system_info))


def _instructions(system_info: str) -> str:
    """The features that are on, from ``AVX = 1 | AVX2 = 1 | AVX512 = 0``."""
    parts = [part.partition("=") for part in system_info.replace("\n", "|").split("|")]
    return ", ".join(name.rpartition(":")[2].strip() for name, _, value in parts if value.strip() == "1") or "–"


def _machine(folder: Path) -> Iterator[Fact]:
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(folder)
    yield Fact(_("System"), platform.platform(terse=True))
    yield Fact(
        _("Processor"),
        _(
            "%(cores)s cores, %(threads)s threads",
            cores=psutil.cpu_count(logical=False) or "?",
            threads=psutil.cpu_count(),
        ),
    )
    yield Fact(_("Load"), " · ".join(decimal_text(value, 2) for value in os.getloadavg()))
    yield Fact(_("Memory"), _free(memory.available, memory.total))
    yield Fact(_("Disk"), _free(disk.free, disk.total))


def _free(free: int, total: int) -> str:
    return _("%(free)s free of %(total)s", free=size_text(free), total=size_text(total))


async def _charts(request: web.Request) -> tuple[Chart, ...]:
    kept = list(request.app[SAMPLES].kept)
    wanted = JobFilter(states=(JobState.COMPLETED,), types=_SAMPLED, limit=_CHARTED_JOBS)
    jobs: Sequence[Any] = await request.app[JOBS].find(wanted, request[PRINCIPAL])
    steps: list[tuple[datetime, float]] = [
        (job.finished_at, job.seconds / (job.parameters["steps"] * job.parameters.get("batch_count", 1)))
        for job in reversed(jobs)
        if job.seconds and job.finished_at and job.parameters.get("steps")
    ]
    return (
        line_chart(_("Engine memory"), [(item.at, item.engine_bytes) for item in kept], size_text),
        line_chart(
            _("Jobs waiting and running"), [(item.at, item.waiting) for item in kept], lambda value: f"{value:.0f}"
        ),
        line_chart(_("Time for each step"), steps, _step_text),
    )


def _step_text(seconds: float) -> str:
    return milliseconds_text(seconds) if seconds < 1 else seconds_text(seconds)


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return _("set") if value.get_secret_value() else _("not set")
    if value is None or value in ("", (), [], {}):
        return "–"
    return number_text(value)


WIDTH: Final = 600
HEIGHT: Final = 120


def line_chart(title: str, points: Sequence[tuple[datetime, float]], unit: Callable[[float], str]) -> Chart:
    """A chart of values over time, from zero to their largest; times are spaced as they are."""
    if len(points) < 2:
        latest = unit(points[-1][1]) if points else "–"
        return Chart(title, "", "", "", "", latest, None, empty=True)
    begin, end = points[0][0], points[-1][0]
    seconds = max((end - begin).total_seconds(), 1e-9)
    top = max(value for _when, value in points) or 1.0
    places = [
        ((when - begin).total_seconds() / seconds * WIDTH, HEIGHT - value / top * (HEIGHT - 4))
        for when, value in points
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    area = f"{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z"
    return Chart(title, line, area, unit(0), unit(top), unit(points[-1][1]), begin, empty=False)
