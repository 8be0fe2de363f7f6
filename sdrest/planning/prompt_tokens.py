"""How long a prompt is for the text encoders that read it.

What a prompt costs goes by its tokens, with language models by their square, and characters say little about them: an emoji can be
four tokens. The vocabularies lie in the native library, so tokens are bounded from above by how each tokenizer splits text:

* byte-level BPE (CLIP, the language models) makes no token of less than a byte;
* the unigram model of T5 makes none of less than a character, and puts one before each text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sdrest.core.architecture import Family
from sdrest.core.bounds import PROMPT_TOKENS
from sdrest.core.errors import FieldProblem
from sdrest.core.model import Component, Model
from sdrest.planning.loras_and_embeddings import Adapters
from sdrest.registry.components import requirements

CLIP: Final = frozenset({Component.CLIP_L, Component.CLIP_G})
#: CLIP reads pieces of so many tokens; the word BREAK fills the piece that it stands in.
_CLIP_PIECE: Final = 75
_CLIP_BREAK: Final = "BREAK"
#: T5's own mark before a text, and the end after it.
_T5_ENDS: Final = 2
#: Beyond the last letter that the library knows, its splitting for language models asks C's ``isspace`` about whole code points:
#: that reads far outside of a table, and the process ends. Flags of regions (U+E0067 …) and private characters lie there.
_LAST_SAFE: Final = 0x33479


def text_problems(model: Model, negative_prompt: str, adapters: Adapters) -> Iterator[FieldProblem]:
    """Prompts that are too long for the model, or that its tokenizer dies of."""
    readers = readers_of(model)
    label = model.architecture.label if model.architecture else model.name
    for field, text in (("prompt", adapters.prompt), ("negative_prompt", negative_prompt)):
        tokens = most_tokens(text, readers, adapters.vectors)
        if tokens > PROMPT_TOKENS:
            unit = "byte of UTF-8" if readers & {*CLIP, Component.LLM} else "character"
            yield FieldProblem(
                field,
                f"may be {tokens} tokens long (up to one for each {unit}); {label} takes at most {PROMPT_TOKENS} here",
            )
        strange = next((c for c in text if ord(c) > _LAST_SAFE), None) if Component.LLM in readers else None
        if strange is not None:
            yield FieldProblem(
                field, f"holds the character U+{ord(strange):04X}, which {label}'s tokenizer cannot take"
            )


def most_tokens(text: str, readers: frozenset[Component], vectors: tuple[tuple[str, int], ...] = ()) -> int:
    """Tokens that these text encoders can make of a text at the most; 0 when none reads it.

    ``vectors`` are the words that stand for embeddings, with the tokens that each puts in its place.
    """
    counts = [0]
    if readers & {*CLIP, Component.LLM}:
        counts.append(len(text.encode(errors="surrogatepass")))
    if readers & CLIP:
        folded = text.casefold()
        counts[-1] += _CLIP_PIECE * text.count(_CLIP_BREAK)
        counts[-1] += sum(number * folded.count(word.casefold()) for word, number in vectors)
    if Component.T5XXL in readers:
        counts.append(len(text) + _T5_ENDS if text else 0)
    return max(counts)


def readers_of(model: Model) -> frozenset[Component]:
    """The text encoders whose reading grows with the prompt."""
    wanted = {need.component for need in requirements(model)} & {*CLIP, Component.T5XXL, Component.LLM}
    if model.architecture is not None and model.architecture.family is Family.FLUX:
        wanted -= CLIP  # only its first piece is read
    return frozenset(wanted)
