"""How many tokens CLIP makes of a prompt: byte-pair encoding as the native library does it, with the library's own vocabulary.

The vocabulary (MIT, as the library) lies in the library's file as the list of merges that OpenAI published, and is read from there.
"""

from __future__ import annotations

import importlib.util
import mmap
import os
import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

#: CLIP reads a prompt in pieces of so many tokens.
PIECE: Final = 75

_HEAD: Final = b"#version: 0.2\n"
_MERGES: Final = 48_894
_END: Final = "</w>"
_LONGEST: Final = 128
#: As the library splits: it looks at bytes, so only letters of English count as letters.
_WORDS: Final = re.compile(rb"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+")
_TAG: Final = re.compile(r"<lora:[^>]*>")
#: What weighs a part of a prompt and is no part of its text: brackets, and ``:1.2)`` at their end.
_MARKS: Final = re.compile(r"\\([()\[\]\\])|(:\s*[+-]?[\d.]+\s*\))|([()\[\]])|\bBREAK\b")


class ClipTokens:
    """Counts tokens; the vocabulary is read when it is first asked for. Any thread may ask."""

    def __init__(self, library: Path | None = None) -> None:
        self._library = library
        self._ranks: dict[tuple[str, str], int] | None = None
        self._word = lru_cache(20_000)(self._tokens_of_word)

    def count(self, prompt: str) -> int | None:
        """Tokens of the text of a prompt, without those that begin and end each piece; None where the vocabulary is not found.

        LoRA tags and the marks that weigh words are no text. ``BREAK`` is not counted, nor what it leaves empty.
        """
        if self._ranks is None:
            self._ranks = _ranks(self._library or _library())
        if not self._ranks:
            return None
        return sum(self._tokens(part) for part in _parts(prompt))

    def _tokens(self, text: str) -> int:
        # In bytes, as the library lowers letters.
        words = _WORDS.findall(text.encode(errors="replace").lower())
        # Work grows with the square of a word's length: what is no word is counted piece by piece.
        return sum(
            self._word(word[start : start + _LONGEST]) for word in words for start in range(0, len(word), _LONGEST)
        )

    def _tokens_of_word(self, word: bytes) -> int:
        """How many tokens a word becomes: its bytes, joined pair by pair, the pair of the lowest rank first."""
        ranks = self._ranks
        assert ranks is not None
        letters = [_LETTERS[byte] for byte in word]
        letters[-1] += _END
        while len(letters) > 1:
            pairs = list(pairwise(letters))
            best = min(pairs, key=lambda pair: ranks.get(pair, _MERGES))
            if best not in ranks:
                break
            joined: list[str] = []
            index = 0
            while index < len(letters):
                if index + 1 < len(letters) and (letters[index], letters[index + 1]) == best:
                    joined.append(letters[index] + letters[index + 1])
                    index += 2
                else:
                    joined.append(letters[index])
                    index += 1
            letters = joined
        return len(letters)


def _parts(prompt: str) -> list[str]:
    """The text of a prompt between the marks that weigh it."""
    text = _TAG.sub("", prompt)
    return _MARKS.sub(lambda mark: mark[1] or "\0", text).split("\0")


def _byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in the vocabulary: printable ones for themselves, the others after them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + index) for index, byte in enumerate(others)}


_LETTERS: Final = _byte_letters()


def _library() -> Path | None:
    """The native library's file, which nothing here loads."""
    if chosen := os.environ.get("STABLE_DIFFUSION_CPP_LIB"):
        return Path(chosen)
    found = importlib.util.find_spec("stable_diffusion_cpp")
    folders = found.submodule_search_locations if found else None
    return next((path for folder in folders or () for path in Path(folder).rglob("libstable-diffusion.*")), None)


def _ranks(library: Path | None) -> dict[tuple[str, str], int]:
    """Pairs by the order in which they are joined; empty where the library has none of the known length."""
    if library is None:
        return {}
    try:
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start = data.find(_HEAD)
            text = data[start + len(_HEAD) : data.find(b"\0", start)].decode() if start >= 0 else ""
    except (OSError, ValueError):
        return {}
    merges = [tuple(line.split(" ")) for line in text.splitlines()]
    ranks = {(merge[0], merge[1]): rank for rank, merge in enumerate(merges) if len(merge) == 2}
    return ranks if len(ranks) == _MERGES else {}
