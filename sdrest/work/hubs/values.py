"""What hubs have, in one shape for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from sdrest.core.architecture import Family


class Hub(StrEnum):
    """Where models are looked for."""

    CIVITAI = "civitai"
    HUGGING_FACE = "huggingface"

    @property
    def label(self) -> str:
        """Its name for people."""
        return "CivitAI" if self is Hub.CIVITAI else "Hugging Face"


class Rating(IntEnum):
    """How explicit a picture is, least first; numbers are CivitAI's browsing levels."""

    PG = 1
    PG13 = 2
    R = 4
    X = 8
    XXX = 16

    @property
    def slug(self) -> str:
        """The name in settings and replies."""
        return self.name.lower()


class Answer(StrEnum):
    """Whether something holds, as far as the hub tells."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file that can be downloaded. ``source`` is what ``POST /api/models/download`` takes."""

    name: str
    source: str
    #: The folder that it goes to; empty: only the hub knows when it is downloaded.
    type: str
    #: Bytes, perhaps rounded; None: not told.
    size: int | None
    sha256: str = ""
    #: Whether the library reads files of this kind.
    readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A picture on the hub."""

    url: str
    rating: Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model on a hub, in its newest version."""

    hub: Hub
    id: str
    name: str
    creator: str
    #: The folder of its kind; empty where the hub does not tell.
    type: str
    #: As the hub writes it.
    base_model: str
    family: Family | None
    version_id: str
    version: str
    licence: str
    trigger_words: tuple[str, ...]
    rating: Rating
    downloads: int
    #: Its page there.
    page: str
    #: Whether one must sign in, or accept terms, to get it.
    gated: bool = False
    files: tuple[HubFile, ...] = ()
    previews: tuple[Preview, ...] = ()

    @property
    def runs(self) -> Answer:
        """Whether the library can run it: its architecture is known, and a file of it can be read."""
        if not any(file.readable for file in self.files):
            return Answer.NO
        if self.family is not None:
            return Answer.YES
        # Upscalers and the like belong to no architecture.
        if self.type in {"esrgan", "upscaler"}:
            return Answer.YES
        return Answer.UNKNOWN if not self.base_model else Answer.NO


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A search. ``type`` is the key of a folder, or empty."""

    query: str
    type: str = ""
    rating: Rating = Rating.PG
    limit: int = 20
    #: Where the last page ended.
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what a hub has; ``cursor`` leads to the next one, empty where this was the last."""

    models: tuple[HubModel, ...] = ()
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer:
    """What a hub has in the place of a file that is here."""

    hub: Hub
    version: str
    page: str
    #: What to download.
    source: str
    type: str = ""
