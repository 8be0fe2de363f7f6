"""Prompts that are drawn: ``{a|b}``, ``{2$$a|b|c}`` and ``__wildcard__``, by the grammar that A1111's extension made known.

The same text and seed give the same words, on every machine, as long as the wildcards are the same.

=====================  ==========================================================================
``{red|blue}``         one of them; options may hold all of this again
``{3::red|1::blue}``   by weights; 1 where none is given
``{2$$a|b|c}``         two different ones, joined by a comma
``{1-3$$ and $$a|b}``  one to three, joined by "and"; either bound may be left out
``__colours__``        a line of the wildcard of that name; ``__animals/*__`` one of several files
``\\{`` ``\\}``          the braces themselves
=====================  ==========================================================================
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.core.parameters import MAX_PROMPT_CHARACTERS

#: Gives the lines of a wildcard; raises NotFound.
Options = Callable[[str], Sequence[str]]

_COUNT: Final = re.compile(r"\s*(?:(\d{1,4})|(\d{0,4})-(\d{0,4}))\$\$")
_SEPARATOR: Final = re.compile(r"([^|{}$]*)\$\$")
_WEIGHT: Final = re.compile(r"\s*(\d{1,6}(?:\.\d{1,6})?)::")
#: A name is short: looking for its end from every beginning in a long text would take the length squared.
_WILDCARD: Final = re.compile(r"__([\w/*.+()-](?:[\w/*.+() -]{0,198}?[\w/*.+()-])??)__")
_ESCAPED: Final = frozenset("{}|")
_DEPTH: Final = 32
_DRAWS: Final = 5000


@dataclass(frozen=True, slots=True)
class _Wildcard:
    name: str


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[tuple[float, tuple[_Part, ...]], ...]
    least: int = 1
    most: int = 1
    separator: str = ", "


_Part = str | _Wildcard | _Choice


def drawn(text: str, seed: int, options: Options, *, field: str = "prompt") -> str:
    """``text`` with everything in it drawn by ``seed``.

    Raises:
        InvalidInput: a brace is not closed, a wildcard is not there, or wildcards name one another without end; names ``field``.
    """
    # Python keeps what it draws from a text the same in all its versions, through ``random()``.
    draw = _Draw(random.Random(f"{field}:{seed}"), options)  # noqa: S311 - nothing secret
    try:
        return draw.words(_parsed(text), 0)
    except NotFound as error:
        raise InvalidInput(error.message, field=field) from None
    except _Mistake as error:
        raise InvalidInput(str(error), field=field) from None


class _Mistake(Exception):
    """What is wrong with a text, in words."""


class _Draw:
    """Draws, from left to right."""

    def __init__(self, chance: random.Random, options: Options) -> None:
        self._chance = chance
        self._options = options
        self._left = _DRAWS

    def words(self, parts: Sequence[_Part], depth: int) -> str:
        if depth > _DEPTH:
            raise _Mistake("the wildcards name one another without end")
        found: list[str] = []
        for part in parts:
            match part:
                case str():
                    found.append(part)
                case _Wildcard():
                    found.append(self._line(part, depth))
                case _Choice():
                    found.append(self._chosen(part, depth))
        text = "".join(found)
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise _Mistake(f"what is drawn has more than {MAX_PROMPT_CHARACTERS} characters")
        return text

    def _line(self, wildcard: _Wildcard, depth: int) -> str:
        lines = self._weighted_lines(wildcard)
        return self.words(lines[self._pick([weight for weight, _ in lines])][1], depth + 1)

    def _chosen(self, choice: _Choice, depth: int) -> str:
        options = list(choice.options)
        if (
            len(options) == 1
            and len(options[0][1]) == 1
            and isinstance(options[0][1][0], _Wildcard)
            and choice.most > 1
        ):
            options = list(self._weighted_lines(options[0][1][0]))
        count = min(len(options), choice.least + int(self._chance.random() * (choice.most - choice.least + 1)))
        found: list[str] = []
        for _ in range(count):
            index = self._pick([weight for weight, _ in options])
            found.append(self.words(options.pop(index)[1], depth + 1).strip())
        return choice.separator.join(found)

    def _weighted_lines(self, wildcard: _Wildcard) -> list[tuple[float, tuple[_Part, ...]]]:
        return [_weighted(line) for line in self._options(wildcard.name)]

    def _pick(self, weights: Sequence[float]) -> int:
        self._left -= 1
        if self._left < 0:
            raise _Mistake(f"more than {_DRAWS} choices are drawn")
        point = self._chance.random() * sum(weights)
        for index, weight in enumerate(weights):
            point -= weight
            if point < 0:
                return index
        return len(weights) - 1


def _weighted(line: str) -> tuple[float, tuple[_Part, ...]]:
    """A line of a wildcard, which may begin with its weight."""
    weight = _WEIGHT.match(line)
    return (float(weight[1]), _parsed(line[weight.end() :])) if weight else (1.0, _parsed(line))


def _parsed(text: str) -> tuple[_Part, ...]:
    parts, end = _sequence(text, 0, 0)
    assert end == len(text)
    return parts


def _sequence(text: str, start: int, depth: int) -> tuple[tuple[_Part, ...], int]:
    """The parts from ``start`` on, up to the end or, within braces, to what ends an option; and where that is."""
    if depth > _DEPTH:
        raise _Mistake(f"braces lie more than {_DEPTH} deep in one another")
    parts: list[_Part] = []
    plain: list[str] = []
    position = start
    while position < len(text):
        letter = text[position]
        if letter == "\\" and text[position + 1 : position + 2] in _ESCAPED and position + 1 < len(text):
            plain.append(text[position + 1])
            position += 2
        elif depth and letter in "|}":
            break
        elif letter == "{":
            choice, position = _choice(text, position + 1, depth + 1)
            parts += ["".join(plain), choice]
            plain.clear()
        elif letter == "_" and (match := _WILDCARD.match(text, position)) is not None:
            parts += ["".join(plain), _Wildcard(match[1])]
            plain.clear()
            position = match.end()
        else:
            plain.append(letter)
            position += 1
    parts.append("".join(plain))
    return tuple(part for part in parts if part != ""), position


def _choice(text: str, start: int, depth: int) -> tuple[_Choice, int]:
    """What stands between braces, and where it ends."""
    position, least, most, separator = start, 1, 1, ", "
    if (count := _COUNT.match(text, position)) is not None:
        exact, low, high = count.groups()
        least = int(exact or low or 0)
        most = int(exact or high or 9999)
        if least > most:
            raise _Mistake(f"{count[0].strip()} asks for at least {least} and at most {most}")
        position = count.end()
        if (own := _SEPARATOR.match(text, position)) is not None:
            separator, position = own[1], own.end()
    options: list[tuple[float, tuple[_Part, ...]]] = []
    while True:
        weight = _WEIGHT.match(text, position)
        parts, position = _sequence(text, weight.end() if weight else position, depth)
        options.append((float(weight[1]) if weight else 1.0, _stripped(parts)))
        if position >= len(text):
            raise _Mistake(
                f"the brace in {text[start - 1 : start + 30]!r} is not closed; write \\{{ for one that is meant as such"
            )
        position += 1
        if text[position - 1] == "}":
            return _Choice(tuple(options), least, min(most, 9999), separator), position


def _stripped(parts: tuple[_Part, ...]) -> tuple[_Part, ...]:
    """An option without the spaces around it."""
    found = list(parts)
    if found and isinstance(found[0], str):
        found[0] = found[0].lstrip()
    if found and isinstance(found[-1], str):
        found[-1] = found[-1].rstrip()
    return tuple(part for part in found if part != "")
