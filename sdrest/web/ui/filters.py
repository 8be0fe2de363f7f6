"""Numbers, sizes and times as people read them; used as template filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sdrest.core.job import Phase, Progress
from sdrest.web.ui.labels import PHASE_LABELS

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def size_text(count: float | None) -> str:
    """A number of bytes in decimal units: ``1.3 GB``."""
    if count is None:
        return "–"
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit in {"B", "kB"} or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def seconds_text(seconds: float | None) -> str:
    """A length of time: ``12 ms``, ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return "–"
    if 0 < seconds < 0.095:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count_text(count: float | None) -> str:
    """A large number with its magnitude: ``4.5 M``, ``1.3 B``."""
    if count is None:
        return "–"
    for limit, suffix in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if count >= limit:
            return f"{count / limit:.1f}{suffix}"
    return f"{count:.0f}"


def ago_text(when: datetime | None) -> str:
    """How long ago: ``just now``, ``5 min ago``, ``3 h ago``, then the date."""
    if when is None:
        return "–"
    seconds = (datetime.now(UTC) - when).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} min ago"
    if seconds < 86_400:
        return f"{round(seconds / 3600)} h ago"
    return when.strftime("%-d %b %Y")


def iso_text(when: datetime | None) -> str:
    """A time for machines and tooltips: ``2026-01-31 12:00 UTC``."""
    return when.strftime("%Y-%m-%d %H:%M UTC") if when else "–"


def progress_text(progress: Progress, *, cancelling: bool = False) -> str:
    """What a running job is doing, in a line: phase, step, picture, time left."""
    if cancelling:
        return "Cancelling"
    parts = [PHASE_LABELS[progress.phase]]
    if progress.done_bytes is not None:
        whole = f" of {size_text(progress.total_bytes)}" if progress.total_bytes is not None else ""
        parts = [size_text(progress.done_bytes) + whole]
        if progress.bytes_per_second:
            parts.append(f"{size_text(progress.bytes_per_second)}/s")
    elif progress.phase in {Phase.SAMPLE, Phase.UPSCALE, Phase.WORK} and progress.steps > 0:
        parts.append(f"step {progress.step} of {progress.steps}")
    if progress.images > 1 and progress.image:
        parts.append(f"picture {progress.image} of {progress.images}")
    if progress.eta_seconds is not None and progress.eta_seconds >= 1:
        parts.append(f"about {seconds_text(round(progress.eta_seconds))} left")
    return " · ".join(parts)


def number_text(value: object) -> str:
    """A parameter's value without needless digits; lists joined by commas."""
    match value:
        case bool():
            return "yes" if value else "no"
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
