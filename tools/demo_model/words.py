"""The words that the model knows: which tokens have a meaning, and which stand for another one.

A token's state depends on the token alone, so a synonym or a plural costs nothing: its row of the text encoder's table
is that of the word it stands for.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import gguf
from backdrops import BACKDROPS, TIMES
from data import (
    COLORS,
    COUNTS,
    HERE,
    RELATIONS,
    SHAPES,
    SIZES,
    objects,
    plural,
    random_kind,
    random_scene,
)
from styles import STYLES
from tokens import prompt_ids, tokenizer

CAPTION_TOKENS = 24
"""Tokens of a caption that the training looks at."""


def names() -> list[str]:
    """Every thing's name, shapes included."""
    return [*objects(), *SHAPES]


def _phrases() -> list[str]:
    """Texts that together hold every token of every caption."""
    ends = [words for table in (BACKDROPS, TIMES, RELATIONS) for group in table.values() for words in group]
    ends += COUNTS.values()
    ends += [form.format("cat") for group in STYLES.values() for form in group]
    ends += [f"a cat on a {color} background, {color} background" for color in COLORS]
    ends += [*SIZES, "an apple"]
    return [text for text in (*names(), *map(plural, names()), *COLORS, *ends) if text]


@cache
def vocabulary() -> tuple[list[int], dict[int, int]]:
    """Tokens with a meaning of their own, sorted, and plural token → the token it stands for."""
    singular = {token for name in names() for token in prompt_ids(name)}
    aliases: dict[int, int] = {}
    for name in names():
        one, many = prompt_ids(name), prompt_ids(plural(name))
        if len(one) == len(many) and one[:-1] == many[:-1] and one != many and many[-1] not in singular:
            aliases[many[-1]] = one[-1]
    used = {token for text in _phrases() for token in prompt_ids(text)} - set(aliases)
    rng = random.Random(3)
    every = list(objects())
    for _ in range(3000):
        scene = random_scene(rng, every, random_kind(rng))
        used |= {aliases.get(t, t) for t in prompt_ids(scene.caption(rng))}
    return sorted(used), aliases


def synonyms() -> dict[str, str]:
    """Word → the model's word that it stands for (``synonyms.txt``)."""
    found: dict[str, str] = {}
    for line in (HERE / "synonyms.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, others = line.partition("=")
            found |= {other.strip(): name.strip() for other in others.split(",")}
    return found


def _spellings(word: str) -> list[str]:
    """A word as it may stand in a prompt. Not without the space before it: that may be the end of an unknown word."""
    return [f" {form}" for form in (word, word.capitalize(), word.upper())]


def _single(text: str) -> int | None:
    """The token that is the whole of ``text``, spaces included."""
    ids = tokenizer().encode(text, add_special_tokens=False).ids
    return ids[0] if len(ids) == 1 else None


@cache
def standing() -> dict[int, int]:
    """Every token without a meaning of its own → the token with one that it stands for: plurals, synonyms, spellings."""
    own, plurals = vocabulary()
    meant = set(own)
    found = dict(plurals)
    texts = {token: tokenizer().id_to_token(token).replace("Ġ", " ") for token in (*own, *plurals)}
    for other, name in synonyms().items():
        target = prompt_ids(name)
        if len(target) > 1 and len({t for n in names() if n != name for t in prompt_ids(n)} & set(target)) == 0:
            target = target[-1:]
        for word in {other, plural(other)}:
            token = _single(" " + word)
            if len(target) == 1 and token is not None and token not in meant:
                found.setdefault(token, found.get(target[0], target[0]))
                texts[token] = " " + word
    for token, text in texts.items():
        word = text.strip()
        if text.startswith(" ") and word.isalpha() and len(word) > 1:
            for spelling in _spellings(word):
                other = _single(spelling)
                if other is not None and other not in meant:
                    found.setdefault(other, found.get(token, token))
    return found


def listed() -> dict[str, object]:
    """What ``demo-words.json`` holds: the words of the vocabulary."""
    things = list(objects())
    phrases = {
        "things": sorted(things),
        "shapes": list(SHAPES),
        "colors": list(COLORS),
        "sizes": [size for size in SIZES if size],
        "counts": list(COUNTS.values()),
        "relations": [words for group in RELATIONS.values() for words in group],
        "places": [words for group in BACKDROPS.values() for words in group],
        "times": [words for group in TIMES.values() for words in group],
        "styles": list(STYLES),
    }
    words = {word for group in phrases.values() for phrase in group for word in re.findall("[a-z]+", phrase)}
    words |= {word for group in STYLES.values() for form in group for word in re.findall("[a-z]+", form)}
    words |= {"a", "an", "background"}
    tokens = standing()
    stands = {}
    single = [*things, *SHAPES]
    for other, name in [*synonyms().items(), *((plural(name), name) for name in single)]:
        token = _single(" " + other)
        last = name.split()[-1]
        if token in tokens and other not in words and last in words:
            stands[other] = last
            if (more := plural(other)) not in words and _single(" " + more) in tokens:
                stands[more] = last
    return {"words": sorted(words | set(stands)), "synonyms": dict(sorted(stands.items())), **phrases}


def respell(path: Path) -> dict[str, str]:
    """Give the tokens that stand for others their rows in a file that is there already; word → the word it stands for."""
    table = next(t for t in gguf.GGUFReader(path, "r+").tensors if t.name.endswith("embed_tokens.weight"))
    meant = gguf.dequantize(table.data, table.tensor_type).any(1)
    changed = [(token, other) for token, other in standing().items() if meant[other] and not meant[token]]
    for token, other in changed:
        table.data[token] = table.data[other]
    table.data.flush()
    text = tokenizer().id_to_token
    return {text(token).lstrip("Ġ"): text(other).lstrip("Ġ") for token, other in changed}


def amended(listing: dict[str, Any], stands: dict[str, str]) -> dict[str, Any]:
    """A list of words with what now stands for them."""
    known = set(listing["words"])
    nouns = {phrase.split()[-1] for kind in ("things", "shapes") for phrase in listing[kind]}
    others = {form for word in synonyms() for form in (word, plural(word))}
    pairs = [(word, other) for word, other in stands.items() if word in others or other in nouns]
    new = {word: other for word, other in pairs if word.islower() and other in known and word not in known}
    return {
        **listing,
        "words": sorted(known | set(new)),
        "synonyms": dict(sorted({**listing["synonyms"], **new}.items())),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the list of words that the model knows.")
    parser.add_argument("--out", type=Path, required=True, help="the list, as JSON")
    parser.add_argument(
        "--into", type=Path, help="a GGUF whose table gets plurals, synonyms and capitals; --out is amended"
    )
    arguments = parser.parse_args()
    found = amended(json.loads(arguments.out.read_text()), respell(arguments.into)) if arguments.into else listed()
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
