"""The parameters text survives a round trip, whatever the prompt holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdrest.core.names import Sampler, Scheduler
from sdrest.core.parameters import GenerationParameters, Lora
from sdrest.outputs.infotext import infotext, parse_infotext

TEXT = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=40).map(str.strip)


@given(prompt=TEXT, negative=TEXT, model=TEXT, seed=st.integers(0, 2**63 - 1))
def test_what_was_written_is_read_back(prompt: str, negative: str, model: str, seed: int) -> None:
    parameters = GenerationParameters(
        prompt=prompt, negative_prompt=negative, sampler=Sampler.DPMPP2M, scheduler=Scheduler.KARRAS, steps=11,
        loras=(Lora(name="a, b", multiplier=0.5),),
    )  # fmt: skip
    told = parse_infotext(infotext(parameters, seed=seed, width=64, height=32, model_name=model, version="1"))
    if not prompt.startswith("Negative prompt:"):
        assert told["prompt"] == prompt
        assert told["negative_prompt"] == negative
    assert (told["Sampler"], told["Schedule type"], told["Seed"]) == ("DPM++ 2M", "Karras", str(seed))
    assert (told["Size"], told["Lora"]) == ("64x32", "a, b: 0.5")


def test_text_without_parameters_is_a_prompt() -> None:
    assert parse_infotext("just, some: words") == {"prompt": "just, some: words", "negative_prompt": ""}
    assert parse_infotext("")["prompt"] == ""


@pytest.mark.parametrize(
    "line", ["x" * 200_000, "x " * 100_000, " " * 200_000, 'a:"' * 60_000, "a: " * 60_000, ":" * 200_000]
)
def test_a_long_line_is_read_in_time_that_grows_with_its_length(line: str) -> None:
    parse_infotext("\n" + line)
