"""Which language a reader gets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sdrest.core.names import Language
from sdrest.web.ui.filters import date_text, decimal_text, seconds_text, size_text
from sdrest.web.ui.languages import LANGUAGE_NAMES, speak, wanted_language


@pytest.mark.parametrize(
    ("cookie", "accept", "wanted"),
    [
        ("", "", Language.FRENCH),
        ("", "de", Language.GERMAN),
        ("", "de-AT,de;q=0.9,en;q=0.8", Language.GERMAN),
        ("", "en;q=0.3, ES-mx;q=0.7", Language.SPANISH),
        ("", "pl, sv;q=0.9, ja;q=0.1", Language.JAPANESE),
        ("", "zh-CN", Language.CHINESE),
        ("", "zh-Hans-SG;q=1.0, en", Language.CHINESE),
        ("", "de;q=0, en;q=0.1", Language.ENGLISH),
        ("", "pl, *;q=0.5", Language.FRENCH),
        ("", "de;q=much, ;;, =", Language.FRENCH),
        ("", "de;q=nan", Language.FRENCH),
        ("ja", "de", Language.JAPANESE),
        ("zh-Hans", "de", Language.CHINESE),
        ("tlh", "de", Language.GERMAN),
    ],
)
def test_a_choice_goes_before_the_browser_and_that_before_the_server(
    cookie: str, accept: str, wanted: Language
) -> None:
    assert wanted_language(cookie, accept, Language.FRENCH) is wanted


def test_every_language_has_a_name() -> None:
    assert set(LANGUAGE_NAMES) == set(Language)


async def test_numbers_dates_and_sizes_are_written_as_the_reader_writes_them() -> None:
    when = datetime(2026, 1, 31, tzinfo=UTC)
    assert (size_text(1.25e9), seconds_text(1.5), date_text(when)) == ("1.2 GB", "1.5 s", "31 Jan 2026")
    await speak(Language.GERMAN)
    assert (decimal_text(1.25, 2), date_text(when)) == ("1,25", "31.01.2026")
    await speak(Language.JAPANESE)
    assert (decimal_text(1.25, 2), date_text(when)) == ("1.25", "2026/01/31")
    await speak(Language.ENGLISH)
