"""Prompts are bounded by the tokens that they may be, and memory is foreseen by the prompt as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.bounds import PROMPT_TOKENS
from sdrest.core.errors import FieldProblem
from sdrest.core.model import Component, Model
from sdrest.core.parameters import GenerationParameters
from sdrest.engine.messages import ContextSpec
from sdrest.planning.context_specs import ContextPlan
from sdrest.planning.loras_and_embeddings import Adapters
from sdrest.planning.memory import ComputeSizes, MemoryPlanner
from sdrest.planning.prompt_tokens import most_tokens, text_problems
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from tests.architectures import EVIDENCE
from tests.model_files import write_gguf, write_safetensors

_CLIP, _T5, _LLM = (frozenset({part}) for part in (Component.CLIP_L, Component.T5XXL, Component.LLM))


@pytest.mark.parametrize(
    ("text", "readers", "tokens"),
    [
        ("", _LLM, 0),
        ("a red apple", _LLM, 11),
        ("ä", _LLM, 2),
        ("😀😀", _LLM, 8),
        ("\ud800", _LLM, 3),
        ("😀😀", _CLIP, 8),
        ("😀😀", _T5, 4),
        ("😀😀", _T5 | _CLIP, 8),
        ("a BREAK b", _CLIP, 9 + 75),
        ("a BREAK b", _LLM, 9),
        ("Ink and ink", _CLIP, 11 + 2 * 8),
        ("anything", frozenset(), 0),
    ],
)
def test_tokens_are_counted_from_above(text: str, readers: frozenset[Component], tokens: int) -> None:
    assert most_tokens(text, readers, (("ink", 8),)) == tokens


def _model(folder: Path, architecture: Architecture) -> Model:
    path = folder / f"{architecture}"
    if architecture is Architecture.SD1:
        write_safetensors(folder / "checkpoints" / f"{path.name}.safetensors", EVIDENCE[architecture])
    else:
        write_gguf(folder / "diffusion_models" / f"{path.name}.gguf", EVIDENCE[architecture])
    registry = Registry(Folders(folder))
    registry.refresh()
    return registry.catalogue.resolve(path.name)


def _problems(model: Model, prompt: str, negative_prompt: str = "") -> list[FieldProblem]:
    return list(text_problems(model, negative_prompt, Adapters(prompt)))


@pytest.mark.parametrize(
    ("architecture", "unit", "each"),
    [
        (Architecture.SD1, "byte of UTF-8", 4),
        (Architecture.FLUX, "character", 1),
        (Architecture.QWEN_IMAGE, "byte of UTF-8", 4),
    ],
)
def test_a_prompt_beyond_the_bound_is_refused_with_its_tokens(
    architecture: Architecture, unit: str, each: int, tmp_path: Path
) -> None:
    model = _model(tmp_path, architecture)
    longest = "😀" * ((PROMPT_TOKENS - 2) // each)
    assert _problems(model, longest, longest) == []
    longer = "😀" * (PROMPT_TOKENS + 1)
    (problem,) = _problems(model, "a", longer)
    assert problem.field == "negative_prompt"
    assert f"may be {each * (PROMPT_TOKENS + 1) + (2 if each == 1 else 0)} tokens long" in problem.message
    assert unit in problem.message
    assert f"at most {PROMPT_TOKENS}" in problem.message


def test_what_the_splitting_for_language_models_dies_of_is_refused(tmp_path: Path) -> None:
    england = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    (problem,) = _problems(_model(tmp_path, Architecture.QWEN_IMAGE), f"the flag {england}")
    assert (problem.field, "U+E0067" in problem.message) == ("prompt", True)
    assert _problems(_model(tmp_path, Architecture.QWEN_IMAGE), "𰻞 🏴 \U00033479") == []
    assert _problems(_model(tmp_path, Architecture.SD1), f"the flag {england}") == []


def test_memory_is_known_for_prompts_like_those_that_were_measured() -> None:
    plan = ContextPlan(ContextSpec(files=(("model", "m.gguf"),)), encodes=False, weights_bytes=1000)
    with_embedding = ContextPlan(
        ContextSpec(files=(("model", "m.gguf"),), embeddings=(("ink", "ink.safetensors"),)), False, 1000
    )
    memory = MemoryPlanner(ComputeSizes(), budget_bytes=1 << 40)

    def known(prompt: str, negative_prompt: str = "", plan: ContextPlan = plan) -> int:
        return memory.estimate(plan, GenerationParameters(prompt=prompt, negative_prompt=negative_prompt)).compute

    memory.learn(plan, GenerationParameters(prompt="a red apple"), 7)
    assert known("a green pear") == 7
    assert known("a green pear" * 20) == known("a", "b" * 300) == 0
    # Equal in length, and four times as many tokens.
    words, emoji = "word " * 400, "😀" * 500
    assert len(words.encode()) == len(emoji.encode())
    memory.learn(plan, GenerationParameters(prompt=words), 8)
    assert (known(words), known(emoji)) == (8, 0)
    memory.learn(with_embedding, GenerationParameters(prompt="ink"), 9)
    assert (known("ink", plan=with_embedding), known("pen", plan=with_embedding)) == (9, 0)
    assert known("a BREAK b") == 0
