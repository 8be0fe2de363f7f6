"""The catalogues hold every text of the pages, translated, and nothing else; `make texts` brings new texts into them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.frontend import CommandLineInterface
from babel.messages.pofile import read_po

from sdrest.core.names import Language
from sdrest.web.ui.languages import catalogue_of, read_texts

ROOT = Path(__file__).parents[4]
TRANSLATED = [language for language in Language if language is not Language.ENGLISH]
#: What is put in (of templates and modules, and of scripts), and marks of HTML.
PLACES = re.compile(r"%\(\w+\)s|(?<![{|])\{\w+\}|</?\w+(?: [^>]*)?>")


@cache
def catalogue(language: Language) -> Catalog:
    with catalogue_of(language).open("rb") as file:
        return read_po(file)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The texts of templates, modules and scripts, as `make texts` finds them."""
    found = tmp_path_factory.mktemp("texts") / "pages.pot"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        CommandLineInterface().run(  # type: ignore[no-untyped-call]
            ["pybabel", "--quiet", "extract", "--mapping", "pyproject.toml", "--output", str(found), "."]
        )
    with found.open("rb") as file:
        return read_po(file)


def forms(text: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or ())


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_in_every_catalogue(language: Language, texts: Catalog) -> None:
    wanted, there = ({tuple(forms(item.id)) for item in found if item.id} for found in (texts, catalogue(language)))
    assert wanted
    assert not wanted - there, "new texts: run `make texts` and translate them"
    assert not there - wanted, "texts that are gone: run `make texts`"
    assert not catalogue(language).obsolete


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_with_what_is_put_in(language: Language) -> None:
    found = catalogue(language)
    for item in found:
        if not item.id:
            continue
        english = forms(item.id)
        translated = forms(item.string)
        assert all(translated), f"not translated: {english}"
        assert not item.fuzzy, english
        assert len(translated) == (found.num_plurals if len(english) > 1 else 1), english
        for text in translated:
            assert sorted(PLACES.findall(text)) == sorted(PLACES.findall(english[-1])), text
            # Templates put values in with %, and take texts for HTML.
            for sign in '%<>&"':
                assert PLACES.sub("", text).count(sign) <= PLACES.sub("", english[-1]).count(sign), text


def test_the_texts_of_scripts_are_handed_over() -> None:
    for language in TRANSLATED:
        scripts = read_texts(language).scripts
        assert scripts["Copied"] != "Copied"
        assert "Gallery" not in scripts
