"""What has changed since the results that are kept: the ratio of each figure to its last value."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.results import Figure, Result

_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+")


def amount(value: str) -> tuple[float, str] | None:
    """A figure's number and its unit; None where it is not one number."""
    found = _NUMBER.match(value)
    if found is None or _NUMBER.search(value, found.end()):
        return None
    return float(found.group().replace(",", "")), value[found.end() :].strip()


def changes(now: Result, last: Result) -> Iterator[tuple[str, str, str, str]]:
    """Figure, its last value, its value now, and the ratio of the two, for every figure that both have as one number."""
    before: dict[str, Figure] = {figure.what: figure for figure in last.figures}
    for figure in now.figures:
        old = before.get(figure.what)
        one, other = amount(figure.value), amount(old.value) if old else None
        if old and one and other and one[1] == other[1] and other[0]:
            yield figure.what, old.value, figure.value, f"{one[0] / other[0]:.2f}"
