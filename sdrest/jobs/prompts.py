"""What prompts name beside words: ``<lora:name:multiplier>`` tags, and the words that stand for embeddings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.parameters import Lora, limits_of

_TAG: Final = re.compile(r"<lora:(?P<name>[^:<>]+)(?::(?P<multiplier>[^:<>]*))?(?::[^<>]*)?>", re.IGNORECASE)
#: Prefix of the name, as the native library's own tools write it, for the high-noise model of a video architecture.
_HIGH_NOISE: Final = "|high_noise|"
_MULTIPLIER: Final = limits_of(next(f for f in Lora.__dataclass_fields__.values() if f.name == "multiplier"))


def extract_loras(prompt: str, *, field: str = "prompt") -> tuple[str, tuple[Lora, ...]]:
    """The prompt without its LoRA tags, and the LoRAs that they name; without a multiplier it is 1.

    Raises:
        InvalidInput: a multiplier is no number, or out of range.
    """
    loras: list[Lora] = []
    problems: list[FieldProblem] = []

    def take(match: re.Match[str]) -> str:
        name = match["name"].strip()
        try:
            multiplier = float(match["multiplier"] or 1)
        except ValueError:
            problems.append(FieldProblem(field, f"{match[0]}: {match['multiplier']!r} is not a number"))
            return ""
        low, high = _MULTIPLIER.ge, _MULTIPLIER.le
        assert low is not None
        assert high is not None
        if not low <= multiplier <= high:
            problems.append(FieldProblem(field, f"{match[0]}: the multiplier must lie between {low:g} and {high:g}"))
        loras.append(
            Lora(name=name.removeprefix(_HIGH_NOISE), multiplier=multiplier, high_noise=name.startswith(_HIGH_NOISE))
        )
        return ""

    rest = _TAG.sub(take, prompt)
    if len(loras) > bounds.LORA_TAGS:
        problems.append(FieldProblem(field, f"{len(loras)} LoRA tags are more than the {bounds.LORA_TAGS} of a prompt"))
    if problems:
        raise InvalidInput(problems)
    return (re.sub(r"[ \t]{2,}", " ", rest).strip() if loras else prompt), tuple(loras)


def words_in(prompt: str, words: Iterable[str]) -> set[str]:
    """Those of ``words`` that occur in the prompt as whole words, case ignored."""
    text = prompt.casefold()
    return {
        word
        for word in words
        if word.casefold() in text and re.search(rf"(?<![\w-]){re.escape(word.casefold())}(?![\w-])", text)
    }
