"""LoRA tags and embedding words in prompts."""

from __future__ import annotations

import pytest

from sdrest.core.errors import InvalidInput
from sdrest.core.parameters import Lora
from sdrest.planning.loras_and_embeddings import extract_loras, words_in


def test_tags_are_taken_out_with_name_and_multiplier() -> None:
    prompt, loras = extract_loras("a cat <lora:style/ink:0.5> on a mat <lora:plain>, <LORA:|high_noise|motion:-1>")
    assert prompt == "a cat on a mat ,"
    assert loras == (
        Lora(name="style/ink", multiplier=0.5),
        Lora(name="plain"),
        Lora(name="motion", multiplier=-1, high_noise=True),
    )


def test_prompt_without_tags_stays_as_it_is() -> None:
    assert extract_loras("  two  spaces (cat:1.2) <b> ") == ("  two  spaces (cat:1.2) <b> ", ())


@pytest.mark.parametrize("tag", ["<lora:x:much>", "<lora:x:99>", "<lora:x:nan>"])
def test_bad_multiplier_is_refused(tag: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        extract_loras(f"a {tag}")
    assert refused.value.problems[0].field == "prompt"


def test_embedding_words_are_whole_words_in_any_case() -> None:
    assert words_in("An Easynegative, (bad-hands:1.2) party", {"easynegative", "bad-hands", "art", "hands"}) == {
        "easynegative",
        "bad-hands",
    }
