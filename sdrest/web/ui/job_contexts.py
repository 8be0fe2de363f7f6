"""What templates are given of jobs and what they made: cards, pictures, and the pages that list them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sdrest.core.job import Job
from sdrest.web.ui.fields import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One finished file of a job as the pages show it."""

    job_id: str
    file: str
    url: str
    thumb: str
    #: What a page shows of it: of a large picture something smaller than the file.
    shown: str
    detail: str
    #: How another form refers to it.
    reference: str
    media_type: str
    width: int
    height: int
    seed: int | None
    alt: str
    #: Where the form is filled as for this picture; empty where there is no form.
    reuse: str

    @property
    def is_video(self) -> bool:
        """Whether it plays in a video element."""
        return self.media_type.startswith("video/")

    @property
    def is_picture(self) -> bool:
        """Whether it is shown as a picture (animated ones included)."""
        return self.media_type.startswith("image/")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCard:
    """One job: where it is, what it made, and what can be done with it."""

    job: Job
    title: str
    prompt: str
    state_label: str
    progress_text: str
    percent: float
    position: int | None
    cancelling: bool
    pictures: tuple[Picture, ...]
    #: Address of the picture that it started from; empty where it started from none.
    before: str
    #: The newest preview as a ``data:`` address; empty while there is none.
    preview: str
    #: Size of what is being made in pixels, so that its place can be kept; zeros where it is not known.
    width: int
    height: int
    #: Whether it waits because the queue is paused.
    paused: bool
    #: Why no engine can take it at the moment; empty where one can.
    waits_because: str
    #: Where the form is filled with its parameters; empty where there is no form.
    reuse: str
    #: Whether it is going to make pictures that other jobs can wait for.
    promises: bool
    #: Whether this caller may have jobs made.
    can_generate: bool
    can_reorder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One job by itself."""

    card: JobCard
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """The queue: what runs, what waits, what is over."""

    running: tuple[JobCard, ...]
    pending: tuple[JobCard, ...]
    pending_total: int
    finished: tuple[JobCard, ...]
    finished_total: int
    counts: Mapping[str, int]
    paused: bool
    can_manage: bool
    can_generate: bool
    state: str
    type: str
    search: str
    states: tuple[Option, ...]
    types: tuple[Option, ...]
    page: int
    pages: int
    #: Address of this page with its filters, without the page number.
    here: str
    #: Files that were just thrown away and can be put back; empty otherwise.
    undo: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A finished file in the gallery; ``id`` is its name in forms."""

    id: str
    #: The number of its job: they are in order of it, newest or oldest first.
    sequence: int
    picture: Picture
    #: What it is, in a line.
    facts: str
    is_favourite: bool
    tags: tuple[str, ...]
    albums: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPage:
    """Finished pictures, newest first unless they are sorted otherwise."""

    tiles: tuple[Tile, ...]
    #: How many jobs there are, in words; they are not counted beyond a page.
    count: str
    search: str
    favourite: bool
    tag: str
    tags: Sequence[str]
    album: str
    albums: Sequence[str]
    sort: str
    model: str
    models: tuple[Option, ...]
    after: str
    before: str
    #: Where the next older ones are; empty when these are the last.
    next_href: str
    #: Where those of jobs are that have ended since; empty where they have no place of their own here.
    ended_href: str
    #: What the pictures were searched by, as the end of an address.
    query: str
    is_filtered: bool
    can_generate: bool
    #: Files that were just thrown away and can be put back; empty otherwise.
    undo: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BinnedTile:
    """A file in the bin."""

    id: str
    alt: str
    #: A small picture of it; empty for what is none.
    thumb: str
    gone_at: datetime
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BinPage:
    """What was thrown away, of the newest jobs first."""

    tiles: tuple[BinnedTile, ...]
    next_href: str
    days: float
    can_generate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """A picture that another one came from, or that came of it."""

    #: What it is for the other one, or how it was made from it.
    title: str
    #: None when it cannot be shown; ``missing`` says why.
    picture: Picture | None
    missing: str = ""
    #: Files of its job beside it.
    others: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a picture came from, and what came of it (the newest)."""

    came_from: tuple[Relative, ...]
    came_of: tuple[Relative, ...]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePage:
    """One picture with everything known about it."""

    picture: Picture
    tile: Tile
    #: The address of this page.
    here: str
    #: Tags and albums that there are.
    tags: Sequence[str]
    albums: Sequence[str]
    #: A file that was just thrown away and can be put back; empty otherwise.
    undo: str
    job: Job
    siblings: tuple[Picture, ...]
    family: Family
    parameters: tuple[tuple[str, str], ...]
    infotext: str
    size_bytes: int
    previous: str
    next: str
    #: Whether these are the newer and the older one.
    is_by_time: bool
    #: What the gallery was searched by, as the end of an address.
    query: str
    can_generate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePage:
    """Two pictures side by side, and how their parameters differ."""

    left: Picture
    right: Picture
    #: Name, left value, right value, whether they differ.
    rows: tuple[tuple[str, str, str, bool], ...]
