"""What each template is given: one dataclass for each page and part, so that a template shows only what is named there.

Here is what surrounds every page, and the pages that concern neither jobs nor models: errors, documents, accounts, the machine.
Jobs and pictures are in ``job_contexts``, the Generate page in ``workbench_contexts``, models in ``model_page_contexts``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sdrest.core.names import Language
from sdrest.web.requests.borrowing import LenderState
from sdrest.web.requests.use_views import AmountsView


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
    #: ``auto``, ``light`` or ``dark``.
    theme: str
    #: What the page is in, and what the reader has chosen: empty where the browser says it.
    language: Language
    chosen_language: str
    #: What the languages are called by those who speak them.
    languages: Mapping[Language, str]
    #: Texts that scripts show, by the English ones; empty in English.
    script_texts: Mapping[str, str]
    #: Address of this page.
    here: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """A request that could not be answered."""

    status: int
    title: str
    message: str
    details: Sequence[str]
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocsField:
    """What a route takes, or a reply holds; ``where`` is ``path``, ``query`` or the media type of a body, of a reply empty."""

    name: str
    where: str
    type: str
    required: bool
    #: As JSON; empty where there is none.
    default: str
    description: str
    is_file: bool
    #: What a form holds at first.
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocsReply:
    """One kind of answer; the fields by media type."""

    status: str
    description: str
    content: Sequence[tuple[str, Sequence[DocsField]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocsEntry:
    """A route of the API, and what a form to try it needs."""

    id: str
    group: str
    method: str
    path: str
    summary: str
    description: str
    fields: Sequence[DocsField]
    good: Sequence[DocsReply]
    errors: Sequence[DocsReply]
    #: What is put into the address.
    asked: Sequence[DocsField]
    #: What a form has that is sent as the body; ``example`` is a body of JSON.
    form: Sequence[DocsField]
    example: str
    can_try: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DocsPage:
    """The API's routes in groups; ``info`` is the document's own. Where it is full, all that there is to know is in it."""

    info: Mapping[str, Any]
    groups: Mapping[str, Sequence[DocsEntry]]
    is_full: bool


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
    #: What the provider is called through which people sign in; empty where they do not.
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInPage:
    """Somebody is signed in, and goes on to a page."""

    name: str
    target: str


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
    #: Programs whose folders of models are read, for administrators.
    lenders: tuple[LenderState, ...]
    #: Those of them that were added here, as they were written.
    borrowed: tuple[str, ...]
    #: What is wrong with folders that were just given, in words.
    problem: str
    is_admin: bool
    can_restart: bool
    settings: tuple[Fact, ...]
    log: tuple[str, ...]
    with_accounts: bool
    with_workers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAccountPage:
    """The caller's own account and API keys."""

    name: str
    role: str
    keys: Sequence[Any]
    #: What was made today, and how much may be; None where nothing is counted.
    use: AmountsView | None
    #: When all of that is free again.
    free_at: datetime
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
