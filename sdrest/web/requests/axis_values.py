"""The values of an axis as people write them: ``4, 8``, ``1-5``, ``10-30 (+5)``, ``0-1 [5]``, or texts, with quotes where they have
commas.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Final

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput

_NUMBER: Final = r"[+-]?\d+(?:\.\d+)?"
_RANGE: Final = re.compile(
    rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*(?:\(\s*({_NUMBER})\s*\)|\[\s*(\d+)\s*\])?\s*", re.ASCII
)


def texts_of(text: str) -> list[str]:
    """The texts in one line of comma-separated values; spaces around them do not count.

    Raises:
        InvalidInput: there are none.
    """
    row = next(csv.reader(io.StringIO(text.replace("\n", " ")), skipinitialspace=True), [])
    found = [item.strip() for item in row]
    if not any(found):
        raise InvalidInput("needs at least one value", field="values")
    return found


def numbers_of(text: str) -> list[int | float]:
    """The numbers in a line: single ones, ranges, ranges with a step in parentheses or a number of values in brackets.

    Raises:
        InvalidInput: one of them is none, or there are too many.
    """
    found: list[int | float] = []
    for item in texts_of(text):
        match = _RANGE.fullmatch(item)
        if match is not None:
            found += _range(*match.groups())
        else:
            try:
                found.append(_number(item))
            except ValueError:
                raise InvalidInput(
                    f"{item!r} is neither a number nor a range like 1-5 or 10-30 (+5)", field="values"
                ) from None
    return found


def _range(first: str, last: str, step: str | None, number: str | None) -> list[int | float]:
    start, end = _number(first), _number(last)
    if number is not None:
        steps = int(number) - 1
        distance = (end - start) / steps if steps > 0 else 0
        _check(steps + 1)
        return [_plain(start + index * distance) for index in range(steps + 1)]
    by = _number(step) if step else (1 if end >= start else -1)
    if by == 0 or (end - start) / by < 0:
        raise InvalidInput(f"{first}-{last} is never reached in steps of {by}", field="values")
    count = int((end - start) / by + 1e-9) + 1
    _check(count)
    return [_plain(start + index * by) for index in range(count)]


def _check(number: int) -> None:
    if number > bounds.GROUP_JOBS:
        raise InvalidInput(f"{number} values are more than the {bounds.GROUP_JOBS} jobs of a group", field="values")


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _plain(value: float) -> int | float:
    """Without what only counting in fractions has left."""
    rounded = round(value, 9)
    return int(rounded) if isinstance(value, int) or rounded.is_integer() else rounded
