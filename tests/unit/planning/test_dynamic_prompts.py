"""What prompts are drawn to: the same by the same seed, each option in its share, and plain words for what cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.planning.dynamic_prompts import drawn
from sdrest.registry.wildcards import Wildcards

LINES = {
    "colours": ["red", "blue"],
    "things": ["a __colours__ {cat|dog}", "3::an owl"],
    "circle": ["__circle__"],
    "x/y z": ["deep"],
}


def options(name: str) -> Sequence[str]:
    if name not in LINES:
        raise NotFound(f"there is no wildcard {name!r}")
    return LINES[name]


def all_of(text: str, seeds: int = 400) -> Counter[str]:
    return Counter(drawn(text, seed, options) for seed in range(seeds))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {red|blue} cat", {"a red cat", "a blue cat"}),
        ("{ red | blue }", {"red", "blue"}),
        ("{red}", {"red"}),
        ("a{| small} cat", {"a cat", "asmall cat"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{2$$a|b}", {"a, b", "b, a"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{-1$$a}", {"", "a"}),
        ("{9$$a|b}", {"a, b", "b, a"}),
        ("{0::never|1::always}", {"always"}),
        ("__colours__", {"red", "blue"}),
        ("{2$$__colours__}", {"red, blue", "blue, red"}),
        ("__things__", {"a red cat", "a red dog", "a blue cat", "a blue dog", "an owl"}),
        ("__x/y z__", {"deep"}),
        (r"\{a\|b\} (fox:1.2) <lora:ink:0.8> [x]", {"{a|b} (fox:1.2) <lora:ink:0.8> [x]"}),
        ("a } b | c _d_ __", {"a } b | c _d_ __"}),
        ("", {""}),
        ("__a " * 5000, {"__a " * 5000}),
    ],
)
def test_everything_that_can_be_drawn_is(text: str, expected: set[str]) -> None:
    assert set(all_of(text, 400 if len(text) < 100 else 1)) == expected


def test_weights_are_shares() -> None:
    counts = all_of("{3::red|blue}", 2000)
    assert 1400 < counts["red"] < 1600  # of 2000 fixed seeds


@settings(deadline=None)
@given(st.text("{}|$_:-\\ab1. ", max_size=40), st.integers(0, 2**63 - 1))
def test_any_text_is_drawn_the_same_twice_or_refused_by_name(text: str, seed: int) -> None:
    def told() -> object:
        try:
            return drawn(text, seed, options)
        except InvalidInput as error:
            return error.problems

    first = told()
    assert first == told()
    assert isinstance(first, str) or [problem.field for problem in first] == ["prompt"]  # type: ignore[attr-defined]


def test_a_seed_draws_the_same_for_ever() -> None:
    """Jobs of years ago must come out the same: a change of these words breaks that."""
    told = [drawn("{2$$red|blue|green} {cat|dog|owl}, __things__", seed, options) for seed in (0, 1, 42)]
    assert told == ["green, blue dog, a red dog", "red, blue cat, an owl", "red, blue dog, an owl"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a {red|blue cat", "is not closed"),
        ("__colour__", "no wildcard 'colour'"),
        ("__circle__", "without end"),
        ("{3-2$$a|b}", "at least 3 and at most 2"),
        ("{" * 40 + "a" + "}" * 40, "deep in one another"),
        ("{a|b}" * 4000 + "{a|b}" * 1500, "choices are drawn"),
    ],
)
def test_what_cannot_be_drawn_is_told(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as raised:
        drawn(text, 1, options, field="negative_prompt")
    assert raised.value.problems[0].field == "negative_prompt"


def test_wildcards_are_files(tmp_path: Path) -> None:
    wildcards = Wildcards(tmp_path / "wildcards")
    assert wildcards.names() == []
    wildcards.save("animals/cats", "# a note\r\ntabby\r\n\r\n  calico \n")
    wildcards.save("animals/dogs", "spaniel")
    (tmp_path / "wildcards" / "bom.txt").write_bytes("\ufeffone\n".encode())
    assert wildcards.names() == ["animals/cats", "animals/dogs", "bom"]
    assert wildcards.options("animals/cats") == ["tabby", "calico"]
    assert wildcards.options("Animals/*") == ["tabby", "calico", "spaniel"]
    assert wildcards.options("bom") == ["one"]
    assert wildcards.read("animals/cats").startswith("# a note\ntabby\n")
    wildcards.remove("animals/cats")
    with pytest.raises(NotFound, match="did you mean 'animals/dogs'"):
        wildcards.options("animals/dog")


@pytest.mark.parametrize("name", ["", "../up", "/etc/x", "a/../b", "a//b", ".hidden", "a\0b", "a\nb", "x" * 5 + "/"])
def test_names_that_leave_the_folder_are_none(name: str, tmp_path: Path) -> None:
    wildcards = Wildcards(tmp_path / "wildcards")
    with pytest.raises(InvalidInput):
        wildcards.save(name, "x")
    with pytest.raises(NotFound):
        wildcards.read(name)
    with pytest.raises(NotFound):
        wildcards.remove(name)
