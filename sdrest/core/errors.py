"""Every error that sdrest raises on purpose.

An error class has a stable ``slug`` (API clients branch on it) and a message written for the person who made the request: it
names the field or file and says what would be right. HTTP statuses are not known here; ``sdrest.web.http.errors`` maps the classes.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: ``OSError.errno`` of a disk, or a user's share of it, that is full.
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class SdrestError(Exception):
    """Base of all errors with a meaning to the caller."""

    slug = "error"

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])
        #: Machine-readable facts beside the message; JSON-serialisable values only.
        self.details: dict[str, object] = details
        #: The last lines of the native library's log, where it had a part in this.
        self.log_tail: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The sentence for the caller."""
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one input field (``field`` is a dotted path such as ``loras.0.multiplier``)."""

    field: str
    message: str


class InvalidInput(SdrestError):
    """The request cannot be carried out as it is written."""

    slug = "invalid_input"

    def __init__(self, problems: Iterable[FieldProblem] | str, *, field: str = "body") -> None:
        found = [FieldProblem(field, problems)] if isinstance(problems, str) else list(problems)
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in found) or "invalid input")
        self.problems = tuple(found)
        self.details["errors"] = [{"field": p.field, "message": p.message} for p in found]

    def within(self, place: str) -> InvalidInput:
        """The same problems, of something that lies at the dotted path ``place``."""
        return InvalidInput(
            FieldProblem(place if p.field == "body" else f"{place}.{p.field}", p.message) for p in self.problems
        )


class Unsupported(SdrestError):
    """The installed native library cannot do this."""

    slug = "unsupported"


class Unauthorized(SdrestError):
    """Valid credentials are required."""

    slug = "unauthorized"


class Forbidden(SdrestError):
    """This principal may not do that."""

    slug = "forbidden"


class NotFound(SdrestError):
    """No such thing."""

    slug = "not_found"


class ModelNotFound(NotFound):
    """No model of that name is in the model folders."""

    slug = "model_not_found"


class Conflict(SdrestError):
    """The thing is in a state that does not allow this."""

    slug = "conflict"


class Gone(SdrestError):
    """The thing was there, and is not any more."""

    slug = "gone"


class TooLarge(SdrestError):
    """The input exceeds a size limit."""

    slug = "too_large"


class QueueFull(SdrestError):
    """The queue holds as many jobs as it may; try again later."""

    slug = "queue_full"

    def __init__(self, message: str, *, retry_after_seconds: int = 10) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class TooManyRequests(QueueFull):
    """Too many requests in too short a time."""

    slug = "too_many_requests"


class QuotaReached(QueueFull):
    """As much was made today as this user or API key may have made in a day."""

    slug = "quota_reached"

    def __init__(self, message: str, *, retry_after_seconds: int = 3600, **facts: object) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.details.update(facts)


class InsufficientMemory(SdrestError):
    """The machine has not enough memory for this model and size."""

    slug = "insufficient_memory"


class InsufficientStorage(SdrestError):
    """The disk has not enough free space."""

    slug = "insufficient_storage"


class ModelUnusable(SdrestError):
    """The model file cannot be loaded as it is."""

    slug = "model_unusable"


class GenerationFailed(SdrestError):
    """The native library reported that it could not make the picture."""

    slug = "generation_failed"


class FlatPicture(GenerationFailed):
    """A picture came out as one flat colour: the parameters do not suit the model."""

    slug = "flat_picture"


class Cancelled(SdrestError):
    """The job was cancelled."""

    slug = "cancelled"


class EngineDied(SdrestError):
    """The engine process ended while it worked on this job."""

    slug = "engine_died"


class Unavailable(SdrestError):
    """The server cannot do this at the moment."""

    slug = "unavailable"


class OutcomeUnknown(Unavailable):
    """The connection to the database broke while something was written: whether it was is not known."""


class UpstreamFailed(SdrestError):
    """Another server, which this one asked, gave no answer that can be used."""

    slug = "upstream_failed"


class EngineUnavailable(Unavailable):
    """The engine cannot start; the message says why."""

    slug = "engine_unavailable"


class BackendMissing(EngineUnavailable):
    """The native library was built without the backend that the settings ask for."""


def error_of(slug: str, message: str, **details: object) -> SdrestError:
    """An error as it was stored: of the class with that slug, or a plain one."""
    cls = _by_slug(SdrestError).get(slug, SdrestError)
    if issubclass(cls, InvalidInput):
        field, _, rest = message.partition(": ")
        return cls(rest, field=field) if rest else cls(message)
    error = cls(message, **details)
    error.slug = slug
    return error


def _by_slug(base: type[SdrestError]) -> dict[str, type[SdrestError]]:
    """``base`` and the classes made from it; of several with one slug the one nearest to ``base``."""
    found: dict[str, type[SdrestError]] = {}
    for cls in base.__subclasses__():
        found = {**_by_slug(cls), **found}
    return {**found, base.slug: base}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name`` (case ignored), or None when nothing is close."""
    by_lower = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` when a known name is close to ``name``, else an empty string."""
    close = nearest(name, known)
    return f"; did you mean {close!r}?" if close else ""
