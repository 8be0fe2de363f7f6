"""The word list of the built-in model."""

from __future__ import annotations

import json
import re

import pytest

from sdrest.core.installed import PACKAGE
from sdrest.registry.builtin import builtin_words

KINDS = ("things", "shapes", "colors", "sizes", "counts", "relations", "places", "times", "styles")


def test_every_word_of_every_phrase_is_listed() -> None:
    found = builtin_words()
    assert found["words"] == sorted(set(found["words"]))
    phrases = [phrase for kind in KINDS for phrase in found[kind]]
    assert {word for phrase in phrases for word in re.findall(r"[a-z]+", phrase)} <= set(found["words"])


def test_synonyms_stand_for_known_words_and_are_listed() -> None:
    found = builtin_words()
    assert set(found["synonyms"]) | set(found["synonyms"].values()) <= set(found["words"])
    assert not set(found["synonyms"]) & set(found["synonyms"].values())


@pytest.mark.parametrize("prompt", json.loads((PACKAGE / "assets" / "demo.json").read_text())["prompts"])
def test_the_suggested_prompts_are_understood(prompt: str) -> None:
    assert set(re.findall(r"[a-z]+", prompt.lower())) <= set(builtin_words()["words"])
