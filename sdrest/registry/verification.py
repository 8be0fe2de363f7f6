"""Whether a model's file is still the one that it was meant to be: its digest against those that are known, its header again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sdrest.core.model import TEXT_TYPES, Model
from sdrest.registry.folders import Folders
from sdrest.registry.hashes import Progress, sha256_of
from sdrest.registry.model_sets import ModelSet
from sdrest.registry.registry import Registry
from sdrest.registry.sidecars import sha256_beside
from sdrest.registry.validate import validate


class Verdict(StrEnum):
    """What a look at a file came to."""

    OK = "ok"
    #: Its digest is not the known one.
    DIFFERS = "differs"
    #: Its header shows that it cannot be used.
    DAMAGED = "damaged"
    #: Nothing speaks against it, and no digest is known to compare with.
    UNKNOWN = "unknown"

    @property
    def is_bad(self) -> bool:
        """Whether the file should not be used."""
        return self in {Verdict.DIFFERS, Verdict.DAMAGED}


@dataclass(frozen=True, slots=True)
class Expected:
    """A digest that the file should have, and who says so."""

    sha256: str
    source: str


@dataclass(frozen=True, slots=True)
class Verification:
    """A file's digest (empty for a folder or a text), what it was compared with, and what is wrong."""

    model: Model
    verdict: Verdict
    sha256: str
    expected: tuple[Expected, ...]
    problems: tuple[str, ...]


def verify(
    registry: Registry, model: Model, expected: Iterable[Expected], progress: Progress | None = None
) -> Verification:
    """Read all of a model's file and compare it; digests of an earlier reading count for nothing.

    Raises:
        OSError: it cannot be read.
    """
    told = tuple(expected)
    problems = [problem.message for problem in validate(registry, model).problems if problem.fatal]
    digest = ""
    if not model.path.is_dir() and not model.type & TEXT_TYPES:
        digest = sha256_of(model.path, progress)
    differing = [
        f"its SHA-256 is {digest}; {item.source} says {item.sha256}"
        for item in told
        if digest and item.sha256 != digest
    ]
    if differing:
        verdict = Verdict.DIFFERS
    elif problems:
        verdict = Verdict.DAMAGED
    else:
        verdict = Verdict.OK if told and digest else Verdict.UNKNOWN
    return Verification(model, verdict, digest, told, (*differing, *problems))


def expected_of(
    folders: Folders, model: Model, sets: Iterable[ModelSet], first_seen: Callable[[str], str]
) -> tuple[Expected, ...]:
    """The digests that are known of a model's file: of model sets, of its first download, and of a file beside it.

    Args:
        folders: The model folders.
        model: The model.
        sets: The model sets, whose files are known by folder and name.
        first_seen: The digest noted at the first download from an address; empty for none.
    """
    found: dict[str, str] = {}
    for item in sets:
        for file in (file for choice in item.choices for file in choice.files):
            if file.path_in(folders) != model.path:
                continue
            if file.known_sha256:
                found.setdefault(file.known_sha256, f"the model set {item.name} ({item.catalogue})")
            elif seen := first_seen(file.url):
                found.setdefault(seen, "the note of its first download")
    beside = sha256_beside(model.path, model.stem)
    if beside:
        found.setdefault(beside, "the description beside it")
    return tuple(Expected(sha256, source) for sha256, source in found.items())
