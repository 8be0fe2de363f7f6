"""Which language a reader gets."""

from __future__ import annotations

import pytest

from sdrest.core.names import Language
from sdrest.web.ui.languages import LANGUAGE_NAMES, wanted_language


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
