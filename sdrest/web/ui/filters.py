"""Numbers, sizes and times as people read them; used as template filters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sdrest.core.job import Phase, Progress
from sdrest.core.names import Language
from sdrest.web.ui.labels import PHASE_LABELS
from sdrest.web.ui.languages import _, locale_of, reader_language

_UNITS: Final = 1000


@functools.cache
def _point(language: Language) -> str:
    """What stands before the decimals."""
    if language is Language.ENGLISH:
        return "."
    from babel.numbers import get_decimal_symbol  # noqa: PLC0415 - the pages of many servers are read in English only

    return str(get_decimal_symbol(locale_of(language)))


def decimal_text(value: float, places: int = 1) -> str:
    """A number with so many decimals: ``1.3``, in German ``1,3``."""
    return f"{value:.{places}f}".replace(".", _point(reader_language()))


def size_text(count: float | None) -> str:
    """A number of bytes in decimal units: ``1.3 GB``."""
    if count is None:
        return "–"
    value, unit = float(count), 0
    units = (_("%(number)s B"), _("%(number)s kB"), _("%(number)s MB"), _("%(number)s GB"), _("%(number)s TB"))
    while value >= 999.5 and unit < len(units) - 1:
        value, unit = value / _UNITS, unit + 1
    return units[unit] % {"number": decimal_text(value, 0 if unit < 2 or value >= 100 else 1)}


def seconds_text(seconds: float | None) -> str:
    """A length of time: ``12 ms``, ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return "–"
    if 0 < seconds < 0.095:
        return milliseconds_text(seconds)
    if seconds < 9.95:
        return _("%(seconds)s s", seconds=decimal_text(seconds))
    whole = round(seconds)
    if whole < 60:
        return _("%(seconds)s s", seconds=whole)
    if whole < 3600:
        return _("%(minutes)s min %(seconds)s s", minutes=whole // 60, seconds=whole % 60)
    return _("%(hours)s h %(minutes)s min", hours=whole // 3600, minutes=whole % 3600 // 60)


def milliseconds_text(seconds: float) -> str:
    """A short length of time: ``12 ms``."""
    return _("%(number)s ms", number=max(1, round(seconds * 1000)))


def count_text(count: float | None) -> str:
    """A large number with its magnitude: ``4.5 M``, ``1.3 B``."""
    if count is None:
        return "–"
    for limit, suffix in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if count >= limit:
            return decimal_text(count / limit) + suffix
    return f"{count:.0f}"


def ago_text(when: datetime | None) -> str:
    """How long ago: ``just now``, ``5 min ago``, ``3 h ago``, then the date."""
    if when is None:
        return "–"
    seconds = (datetime.now(UTC) - when).total_seconds()
    if seconds < 45:
        return _("just now")
    if seconds < 3600:
        return _("%(minutes)s min ago", minutes=max(1, round(seconds / 60)))
    if seconds < 86_400:
        return _("%(hours)s h ago", hours=round(seconds / 3600))
    return date_text(when)


def date_text(when: datetime) -> str:
    """A day: ``31 Jan 2026``."""
    language = reader_language()
    if language is Language.ENGLISH:
        return when.strftime("%-d %b %Y")
    from babel.dates import format_date  # noqa: PLC0415 - as above

    return str(format_date(when, locale=locale_of(language)))


def iso_text(when: datetime | None) -> str:
    """A time for machines and tooltips: ``2026-01-31 12:00 UTC``."""
    return when.strftime("%Y-%m-%d %H:%M UTC") if when else "–"


def progress_text(progress: Progress, *, cancelling: bool = False) -> str:
    """What a running job is doing, in a line: phase, step, picture, time left."""
    if cancelling:
        return _("Cancelling")
    parts = [PHASE_LABELS[progress.phase]]
    if progress.done_bytes is not None:
        parts = [size_text(progress.done_bytes)]
        if progress.total_bytes is not None:
            parts = [_("%(part)s of %(whole)s", part=parts[0], whole=size_text(progress.total_bytes))]
        if progress.bytes_per_second:
            parts.append(_("%(size)s/s", size=size_text(progress.bytes_per_second)))
    elif progress.phase in {Phase.SAMPLE, Phase.UPSCALE, Phase.WORK} and progress.steps > 0:
        parts.append(_("step %(number)s of %(all)s", number=progress.step, all=progress.steps))
    if progress.images > 1 and progress.image:
        parts.append(_("picture %(number)s of %(all)s", number=progress.image, all=progress.images))
    if progress.eta_seconds is not None and progress.eta_seconds >= 1:
        parts.append(_("about %(time)s left", time=seconds_text(round(progress.eta_seconds))))
    return " · ".join(parts)


def number_text(value: object) -> str:
    """A parameter's value without needless digits; lists joined by commas."""
    match value:
        case bool():
            return _("yes") if value else _("no")
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(number_text(item) for item in value)
        case Mapping():
            return ", ".join(f"{key} {number_text(item)}" for key, item in value.items())
        case None:
            return ""
        case _:
            return str(value)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "size": size_text,
    "seconds": seconds_text,
    "count": count_text,
    "ago": ago_text,
    "iso": iso_text,
    "number": number_text,
}
