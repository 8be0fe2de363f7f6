"""What people write to find jobs: ``fox "red hat" model:flux seed:42 lora:ink -dark``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

#: Where a term is looked for; ``text`` is the prompt and the model's name.
SearchField = Literal["text", "model", "seed", "lora"]
_TERM: Final = re.compile(r'(-?)(?:(model|seed|lora):)?(?:"([^"]*)"|(\S+))', re.IGNORECASE)
#: Terms after these are passed over: each is looked for in every job.
_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Term:
    """A text that must occur in a field, or must not; a seed is equal to it."""

    field: SearchField
    text: str
    is_excluded: bool = False


def terms_of(search: str) -> tuple[Term, ...]:
    """What must hold of a job, all of it: words and quoted phrases, ``model:``, ``seed:`` and ``lora:`` before one, ``-`` for not.

    Whatever does not read as one of these is a word.
    """
    found = []
    for minus, name, phrase, word in _TERM.findall(search.replace("\0", " ")):  # which databases cannot look for
        field: SearchField = name.lower() or "text"
        text = phrase or word
        if field == "seed" and not re.fullmatch(r"[0-9]{1,20}", text):
            field, text = "text", f"{name}:{text}"
        if phrase or word:
            found.append(Term(field, text, bool(minus)))
    return tuple(found[:_MOST])
