"""What each template is given: one dataclass for each page and part, so that a template shows only what is named here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sdrest.core.job import Job
from sdrest.core.model import Model
from sdrest.web.ui.fields import Field, Option
from sdrest.web.ui.preset_choices import Saved
from sdrest.web.ui.tabs import Tab


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the main navigation."""

    title: str
    href: str
    icon: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What every page shows around its content."""

    nav: tuple[NavItem, ...]
    #: Who is signed in; empty for a guest, and for everybody where nobody needs to.
    user: str
    can_log_in: bool
    is_docs: bool
    version: str


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
    #: Where the form is filled with its parameters; empty where there is no form.
    reuse: str
    #: Whether this caller may have jobs made.
    can_generate: bool
    can_reorder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNote:
    """What the Generate page says about the chosen model."""

    model: Model | None
    problem: str
    missing: tuple[str, ...]
    #: The model's own defaults as form texts.
    defaults: Mapping[str, str]
    multiple: int
    #: How many things the built-in model draws; 0 for any other.
    demo_things: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraChoice:
    """One LoRA that can be picked."""

    name: str
    label: str
    trigger_words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What fits a model. ``parts`` are choices of files by kind of model; a kind of which nothing fits has none."""

    parts: Mapping[str, tuple[Option, ...]]
    loras: tuple[LoraChoice, ...]
    embeddings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt to try, and the static file of a picture of it."""

    prompt: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterModel:
    """A real model that can be got at the press of a button."""

    name: str
    about: str
    source: str
    size_bytes: int
    memory_bytes: int
    #: Whether this machine has the memory for it.
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoWordsPage:
    """What the built-in model understands, by kind."""

    kinds: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Fields that are folded away together; open when one of them differs from its default or is wrong."""

    title: str
    fields: tuple[Field, ...]
    is_open: bool
    changed: int
    #: The picker of files without which it is of no use, None where there is none.
    needs: Field | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratePage:
    """The Generate page with one of its tabs."""

    tab: Tab
    tabs: Sequence[Tab]
    fields: Mapping[str, Field]
    groups: tuple[FieldGroup, ...]
    note: ModelNote
    offers: Offers
    models: tuple[tuple[str, tuple[Option, ...]], ...]
    lora_rows: Sequence[tuple[str, str]]
    lora_error: str
    saved: Saved
    references: Mapping[str, tuple[Picture, ...]]
    errors: tuple[str, ...]
    #: Whether the form was filled by the server and not by the page's defaults.
    is_filled: bool
    #: Whether this caller may save presets and templates.
    can_save: bool
    can_generate: bool
    #: What is not here and the tab cannot do without, in words; empty when nothing is missing.
    lack: str
    #: What to try, where nothing was made yet.
    samples: Sequence[Sample]
    is_paused: bool
    card: JobCard | None
    #: The caller's jobs, newest first.
    film: tuple[JobCard, ...]
    #: Why jobs wait for the engine; empty when they do not.
    engine_problem: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPage:
    """Finished pictures, newest first."""

    pictures: tuple[Picture, ...]
    total_jobs: int
    search: str
    model: str
    models: tuple[Option, ...]
    after: str
    before: str
    #: Where the next older ones are; empty when these are the last.
    next_href: str
    #: Where those are that have been made since; empty where the page does not begin with the newest.
    newer_href: str
    #: What the pictures were searched by, as the end of an address.
    query: str
    is_filtered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePage:
    """One picture with everything known about it."""

    picture: Picture
    job: Job
    siblings: tuple[Picture, ...]
    parameters: tuple[tuple[str, str], ...]
    infotext: str
    size_bytes: int
    previous: str
    next: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """A request that could not be answered."""

    status: int
    title: str
    message: str
    details: Sequence[str]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocsPage:
    """The API's routes in groups; ``info`` is the document's own."""

    info: Mapping[str, Any]
    groups: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A line chart as SVG paths over a 600 × 120 field."""

    title: str
    line: str
    area: str
    low: str
    high: str
    latest: str
    since: datetime | None
    empty: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """A named value, in lists of facts."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage:
    """The form for signing in."""

    username: str
    problem: str
    target: str
    #: Whether an API key is asked for and not a name and a password.
    by_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device as ggml registered it."""

    name: str
    description: str
    backend: str
    free: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPage:
    """The machine and the server."""

    server: tuple[Fact, ...]
    machine: tuple[Fact, ...]
    devices: tuple[Device, ...]
    charts: tuple[Chart, ...]
    loaded: tuple[str, ...]
    is_admin: bool
    can_restart: bool
    settings: tuple[Fact, ...]
    log: tuple[str, ...]
    with_accounts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAccountPage:
    """The caller's own account and API keys."""

    name: str
    role: str
    keys: Sequence[Any]
    #: Text of a key that was just made; shown once.
    new_key: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsPage:
    """Accounts and API keys."""

    accounts: Sequence[Any]
    keys: Sequence[Any]
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    #: Text of a key that was just made; shown once.
    new_key: str
    problem: str
    with_accounts: bool
