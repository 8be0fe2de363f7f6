"""The Qwen tokenizer as the native library has it, and the prompt template of its Ovis-Image layout.

The merge list is read out of the installed library itself, so that no other copy of it is needed.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

TEXT_TOKENS = 256
"""Text tokens that the library always passes to the diffusion model (after the dropped template head)."""
VOCABULARY = 151669
"""Rows of the embedding table that the library's tokenizer can name."""
_START = "Ġ Ġ\nĠĠ ĠĠ\ni n\n".encode()
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _merges() -> list[tuple[str, str]]:
    import stable_diffusion_cpp  # noqa: PLC0415  (not where the tokenizer was brought as a file)

    library = next((Path(stable_diffusion_cpp.__file__).parent / "lib").glob("libstable-diffusion.*")).read_bytes()
    start = library.index(_START)
    lines = library[start : library.index(b"\0", start)].decode().splitlines()
    return [(left, right) for left, right in (line.split(" ") for line in lines if line)]


@cache
def tokenizer() -> Tokenizer:
    """The byte-level BPE tokenizer with the library's numbering (bytes in its order, then merges).

    ``DEMO_TOKENIZER`` names a file that holds it, for a machine without the library.
    """
    if file := os.environ.get("DEMO_TOKENIZER"):
        return Tokenizer.from_file(file)
    direct = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in direct]
    letters += [chr(256 + i) for i in range(256 - len(direct))]
    merges = _merges()
    vocabulary = {token: i for i, token in enumerate([*letters, *(a + b for a, b in merges)])}
    built = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return built


def prompt_ids(prompt: str) -> list[int]:
    """Token numbers of a prompt at the places they have among the 256: the template puts one space before it.

    An empty prompt leaves a lone space token, which the model must treat as nothing (its embedding is zero).
    """
    return tokenizer().encode(" " + prompt, add_special_tokens=False).ids
