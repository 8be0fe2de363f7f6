"""Values of an axis as people write them."""

from __future__ import annotations

import pytest

from sdrest.core.errors import InvalidInput
from sdrest.web.requests.axis_values import numbers_of, texts_of


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("4, 8,15", [4, 8, 15]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("5-3", [5, 4, 3]),
        ("10-30 (+10)", [10, 20, 30]),
        ("10 - 5 (-2)", [10, 8, 6]),
        ("0-1 [5]", [0, 0.25, 0.5, 0.75, 1]),
        ("0.1-0.4 (0.1)", [0.1, 0.2, 0.3, 0.4]),
        ("1-3, 7.5", [1, 2, 3, 7.5]),
        ("-1", [-1]),
        ("2-9 [1]", [2]),
    ],
)
def test_numbers_and_ranges(text: str, numbers: list[float]) -> None:
    assert numbers_of(text) == numbers


@pytest.mark.parametrize(
    "text", ["", " , ", "few", "1-5 (0)", "1-5 (-1)", "1-1000000", "1-2 [1000000]", "1-9999999999 (+1)"]
)
def test_what_is_no_number_or_too_many_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        numbers_of(text)


def test_texts_keep_commas_within_quotes() -> None:
    assert texts_of(' a cat ,"long, blond hair", 7') == ["a cat", "long, blond hair", "7"]
