"""The Gallery: finished pictures and videos, one by one, and two side by side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from sdrest.core.errors import InvalidInput
from sdrest.core.job import TERMINAL_STATES, Job, Output
from sdrest.core.model import MAIN_TYPES
from sdrest.core.principal import Permission
from sdrest.jobs.listing import JobFilter, JobOrder, Place, place_of
from sdrest.jobs.marks import FAVOURITE, FileId, Mark
from sdrest.web.http.keys import JOBS, MODELS, PRINCIPAL
from sdrest.web.requests.gallery import BIN, GALLERY, read_place, write_place
from sdrest.web.requests.model_care import output_of
from sdrest.web.ui.family import family_of
from sdrest.web.ui.fields import Option, field_text, leaf_fields
from sdrest.web.ui.job_cards import parameter_rows, picture_of, pictures_of
from sdrest.web.ui.job_contexts import ComparePage, GalleryPage, PicturePage, Tile
from sdrest.web.ui.languages import _, ngettext
from sdrest.web.ui.rendering import is_htmx, page, part, query_number, see
from sdrest.web.ui.tabs import TABS

GALLERY_PAGE: Final = "/ui/gallery"
#: Jobs on one page of the gallery.
_PAGE_LENGTH: Final = 48
_LISTED_MODELS: Final = 300
#: The orders other than that of submission, as addresses name them.
_ORDERS: Final = {"model": JobOrder.MODEL, "size": JobOrder.SIZE, "favourites": JobOrder.FAVOURITES}
#: An ending is stored a moment after the time that it is noted with.
_OVERLAP: Final = timedelta(seconds=10)


async def show(request: web.Request) -> web.Response:
    """Finished pictures, newest first; for htmx only tiles, or with ``HX-Target: gallery`` a fresh list.

    Pages begin behind the last picture of the page before (``older``, ``newer``, ``beyond``), so that what is made meanwhile moves
    none; ``ended`` asks for the pictures of jobs that have ended since that time.
    """
    context = await _page(request)
    if is_htmx(request):
        whole = request.headers.get("HX-Target") == "gallery"
        name = "gallery" if whole else "gallery_ended" if request.query.get("ended") else "gallery_tiles"
        return part(request, f"parts/{name}.html", page=context)
    return page(request, "gallery.html", context)


async def show_picture(request: web.Request) -> web.Response:
    """One picture with everything that is known about it."""
    job, output = await output_of(request, f"{request.match_info['job_id']}/{request.match_info['file']}")
    gallery, principal = request.app[GALLERY], request[PRINCIPAL]
    newer, older = await _neighbours(request, job)
    marks = await gallery.marks_of([job])
    query = address("", _sought(request).query)
    context = PicturePage(
        picture=picture_of(job, output),
        tile=_tile(job, output, marks.get(FileId(job.id, output.file), ())),
        here=picture_of(job, output).detail + query,
        tags=await gallery.names("tag", principal),
        albums=await gallery.names("album", principal),
        undo=request.query.get("undo", "")[:200],
        job=job,
        siblings=pictures_of(job) if len(job.outputs) > 1 else (),
        family=await family_of(request, job, output),
        parameters=parameter_rows(job.parameters, model_name=job.model_name, defaults=_defaults(job)),
        infotext=output.infotext,
        size_bytes=output.size_bytes,
        previous=newer,
        next=older,
        is_by_time=_sought(request).order is JobOrder.SUBMITTED,
        query=query,
        can_generate=principal.may(Permission.GENERATE),
    )
    return page(request, "picture.html", context)


async def delete(request: web.Request) -> web.StreamResponse:
    """Put a picture into the bin, and go on to the next one: of its job, else to an older one of those sought."""
    job, output = await output_of(request, f"{request.match_info['job_id']}/{request.match_info['file']}")
    newer, older = await _neighbours(request, job)
    gone = FileId(job.id, output.file)
    await request.app[BIN].throw_away([gone], request[PRINCIPAL])
    rest = [picture for picture in pictures_of(job) if picture.file != output.file]
    query = _sought(request).query
    following = address(rest[0].detail, query) if rest else older or newer or address(GALLERY_PAGE, query)
    joint = "&" if "?" in following else "?"
    return see(request, f"{following}{joint}{urlencode({'undo': f'{gone.job_id}/{gone.file}'})}")


async def compare(request: web.Request) -> web.Response:
    """Two pictures side by side: ``?p=<job id>/<file>&p=<job id>/<file>``."""
    chosen = request.query.getall("p", [])
    if len(chosen) != 2:
        raise InvalidInput(_("choose exactly two pictures to compare"), field="p")
    (left_job, left), (right_job, right) = [await output_of(request, item) for item in chosen]
    ours, theirs = _all_rows(left_job, left), _all_rows(right_job, right)
    rows = tuple(
        (name, ours.get(name, "–"), theirs.get(name, "–"), ours.get(name) != theirs.get(name))
        for name in dict.fromkeys((*ours, *theirs))
    )
    context = ComparePage(left=picture_of(left_job, left), right=picture_of(right_job, right), rows=rows)
    return page(request, "compare.html", context)


def _all_rows(job: Job, output: Output) -> dict[str, str]:
    rows = {_("Prompt"): str(job.parameters.get("prompt", ""))}
    if job.parameters.get("negative_prompt"):
        rows[_("Negative prompt")] = str(job.parameters["negative_prompt"])
    if output.seed is not None:
        rows[_("Seed")] = str(output.seed)
    return rows | dict(parameter_rows(job.parameters, model_name=job.model_name, defaults=_defaults(job)))


def _defaults(job: Job) -> Mapping[str, str]:
    """The form texts that jobs of this type have when nobody set anything."""
    table = next((tab.table for tab in TABS.values() if tab.job_type is job.type), None)
    return {name: field_text(item.default) for name, item, _ in leaf_fields(table)} if table else {}


@dataclass(frozen=True, slots=True)
class _Sought:
    """What the address of the gallery, or of a picture in it, restricts it to; ``query`` is that part of the address."""

    search: str
    model: str
    after: str
    before: str
    favourite: str
    tag: str
    album: str
    sort: str
    query: Mapping[str, str]

    @property
    def order(self) -> JobOrder:
        """What the pictures are in order of."""
        return _ORDERS.get(self.sort, JobOrder.SUBMITTED)

    @property
    def marks(self) -> frozenset[Mark]:
        """What every file that is shown has."""
        named = (
            (self.favourite, FAVOURITE),
            (self.tag, Mark("tag", self.tag)),
            (self.album, Mark("album", self.album)),
        )
        return frozenset(mark for is_wanted, mark in named if is_wanted)

    def filter(self, **how: Any) -> JobFilter:
        """The jobs sought."""
        return JobFilter(
            states=TERMINAL_STATES,
            with_outputs=True,
            search=self.search,
            model_id=self.model,
            marks=self.marks,
            order=self.order,
            created_after=_day(self.after),
            created_before=_day(self.before, after=1),
            **how,
        )


def _sought(request: web.Request) -> _Sought:
    names = ("search", "model", "after", "before", "favourite", "tag", "album", "sort")
    found = {name: request.query.get(name, "").strip()[:200] for name in names}
    found["sort"] = found["sort"] if found["sort"] in {"oldest", *_ORDERS} else ""
    return _Sought(**found, query={name: value for name, value in found.items() if value})


async def _neighbours(request: web.Request, job: Job) -> tuple[str, str]:
    """Addresses of the first files of the jobs before and after one among those sought; empty at the ends.

    In the order of submission the newer one is before it, however they are listed.
    """
    jobs, principal, sought = request.app[JOBS], request[PRINCIPAL], _sought(request)
    before: dict[str, Any]
    after: dict[str, Any]
    before, after = {"newer_than": job.sequence}, {"older_than": job.sequence}
    if sought.order is not JobOrder.SUBMITTED:
        before = after = {"beyond": await _place(request, job, sought.order)}
    found = await asyncio.gather(
        jobs.find(sought.filter(**before, newest_first=False, limit=1), principal),
        jobs.find(sought.filter(**after, limit=1), principal),
    )
    newer, older = (address(pictures_of(near[0])[0].detail, sought.query) if near else "" for near in found)
    return newer, older


async def _place(request: web.Request, job: Job, order: JobOrder) -> Place:
    marks = await request.app[GALLERY].marks_of([job])
    return place_of(job, order, is_favourite=_is_favourite(job, marks))


def _is_favourite(job: Job, marks: Mapping[FileId, Sequence[Mark]]) -> bool:
    return any(FAVOURITE in marks.get(FileId(job.id, output.file), ()) for output in job.outputs)


async def _page(request: web.Request) -> GalleryPage:
    jobs, gallery, principal, sought = request.app[JOBS], request.app[GALLERY], request[PRINCIPAL], _sought(request)
    newer, older = query_number(request, "newer"), query_number(request, "older")
    ended, now = _time(request.query.get("ended", "")), jobs.clock()
    newest_first = sought.sort != "oldest"
    wanted = sought.filter(
        newer_than=newer,
        older_than=older,
        beyond=read_place(request.query.get("beyond", ""), sought.order),
        finished_after=ended,
        newest_first=newest_first,
        limit=_PAGE_LENGTH + 1,
    )
    found = await jobs.find(wanted, principal)
    shown, is_more = found[:_PAGE_LENGTH], len(found) > _PAGE_LENGTH
    marks = await gallery.marks_of(shown)
    more = {**sought.query, **_next(shown[-1], sought, marks)} if is_more else {}
    is_live = sought.order is JobOrder.SUBMITTED and not (newer or older)
    mains = request.app[MODELS].catalogue.of_type(MAIN_TYPES)[:_LISTED_MODELS]
    is_filtered = bool({*sought.query} - {"sort"})
    return GalleryPage(
        tiles=tuple(
            _tile(job, output, noted)
            for job in shown
            for output in job.outputs
            if sought.marks <= {*(noted := marks.get(FileId(job.id, output.file), ()))}
        ),
        count=_count(len(shown), is_more=is_more),
        search=sought.search,
        model=sought.model,
        models=tuple(Option(item.id, item.name) for item in mains),
        after=sought.after,
        before=sought.before,
        favourite=bool(sought.favourite),
        tag=sought.tag,
        tags=await gallery.names("tag", principal),
        album=sought.album,
        albums=await gallery.names("album", principal),
        sort=sought.sort,
        next_href=address(GALLERY_PAGE, more) if more else "",
        ended_href=address(GALLERY_PAGE, {**sought.query, "ended": (now - _OVERLAP).isoformat()}) if is_live else "",
        query=address("", sought.query),
        is_filtered=is_filtered,
        can_generate=principal.may(Permission.GENERATE),
        undo=tuple(item[:200] for item in request.query.getall("undo", ())[:50]),
    )


def _next(last: Job, sought: _Sought, marks: Mapping[FileId, Sequence[Mark]]) -> dict[str, str]:
    """Where the page after a job begins."""
    if sought.order is JobOrder.SUBMITTED:
        return {"newer" if sought.sort == "oldest" else "older": str(last.sequence)}
    return {"beyond": write_place(place_of(last, sought.order, is_favourite=_is_favourite(last, marks)))}


def _count(shown: int, *, is_more: bool) -> str:
    """How many jobs there are. Only a page is counted: for the others every job would have to be read."""
    return _("more than %(number)s jobs", number=shown) if is_more else ngettext("%(num)s job", "%(num)s jobs", shown)


def _tile(job: Job, output: Output, marks: Sequence[Mark]) -> Tile:
    size = f"{output.width} × {output.height}" if output.width else ""
    seed = _("seed %(number)s", number=output.seed) if output.seed is not None else ""
    number = job.parameters.get("steps")
    steps = ngettext("%(num)s step", "%(num)s steps", number) if number else ""
    return Tile(
        id=f"{job.id}/{output.file}",
        sequence=job.sequence,
        picture=picture_of(job, output),
        facts=" · ".join(filter(None, (job.model_name, size, steps, seed))),
        is_favourite=FAVOURITE in marks,
        tags=tuple(mark.name for mark in marks if mark.kind == "tag"),
        albums=tuple(mark.name for mark in marks if mark.kind == "album"),
    )


def address(path: str, query: Mapping[str, str]) -> str:
    """A path with a query, where there is one."""
    return f"{path}?{urlencode(query)}" if query else path


def _time(text: str) -> datetime | None:
    """The time that :meth:`datetime.isoformat` wrote; None when it is none."""
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.fromisoformat(text).astimezone(UTC)
    return None


def _day(text: str, *, after: int = 0) -> datetime | None:
    """Midnight of an ISO date in UTC, or so many days after it; None when it is none."""
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=after)
    return None
