"""What a request for a group of jobs asks for, job by job: the cells of a grid, or the rows of a list."""

from __future__ import annotations

import csv
import io
import json
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.group import Axis, indices

#: Longest text of a value where values are shown.
_SHOWN: Final = 60
_PROMPTS: Final = ("prompt", "negative_prompt")
#: Values of a seed that stand for a random one.
_RANDOM: Final = frozenset({"", "-1", "random", "none"})

Values = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """One direction of a grid: a field (``hires.scale`` is one within another), words of the prompts, or the weight of a LoRA."""

    field: str = ""
    replace: str = ""
    lora: str = ""
    values: Sequence[Any]

    @property
    def axis(self) -> Axis:
        """How it is shown."""
        label = self.field or (f"LoRA {self.lora}" if self.lora else self.replace)
        return Axis(label=label, values=tuple(shown(value) for value in self.values))

    def put(self, value: Any, cell: Values) -> None:
        """Put one of its values into a cell's parameters.

        Raises:
            InvalidInput: there is nothing to replace, or no object to put it in.
        """
        if self.lora:
            _weigh(cell, self.lora, value)
        elif self.replace:
            _replace(cell, self.replace, str(value))
        else:
            _set(cell, self.field, value)


def shown(value: Any) -> str:
    """A value as people read it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def cells(parameters: Mapping[str, Any], directions: Sequence[Direction]) -> list[Values]:
    """The parameters of each cell of a grid, along the first direction first. A random seed is drawn once for all.

    Raises:
        InvalidInput: there are too many, or a value cannot be put where it belongs.
    """
    _check_number(math.prod(len(direction.values) for direction in directions), "axes")
    base = dict(parameters)
    if str(base.get("seed", "-1")).strip().lower() in _RANDOM:
        base["seed"] = secrets.randbelow(2**32)
    axes = [direction.axis for direction in directions]
    found = []
    for place in range(math.prod(len(axis.values) for axis in axes)):
        cell = deepcopy(base)
        # What is replaced first cannot be put in by another direction.
        chosen = zip(directions, indices(axes, place), strict=True)
        for number, (direction, index) in sorted(enumerate(chosen), key=lambda item: not item[1][0].replace):
            try:
                direction.put(direction.values[index], cell)
            except InvalidInput as error:
                raise InvalidInput(
                    FieldProblem(f"axes.{number}.{problem.field}", problem.message) for problem in error.problems
                ) from None
        found.append(cell)
    return found


def rows_of_csv(text: str) -> list[Values]:
    """The rows of a CSV text whose first line names the parameters; an empty field leaves its parameter out.

    Raises:
        InvalidInput: it is none; the message names the line.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), skipinitialspace=True)
    found = []
    try:
        for row in reader:
            if None in row:
                raise InvalidInput(f"line {reader.line_num} has more fields than the first line names", field="csv")
            values: Values = {}
            for name, value in row.items():
                if value not in {None, ""}:
                    _set(values, name.strip(), value)
            found.append(values)
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num}: {error}", field="csv") from None
    if not found:
        raise InvalidInput("needs a line that names parameters, and one line for each picture", field="csv")
    return found


def listed(parameters: Mapping[str, Any], rows: Sequence[Values]) -> tuple[Axis, list[Values]]:
    """How the rows of a list are shown (by number, and what they say first), and the parameters of each over those that all have.

    Raises:
        InvalidInput: there are too many.
    """
    _check_number(len(rows), "rows")
    labels = []
    for number, row in enumerate(rows, start=1):
        said = next(
            (f"{value}" for value in (row.get("prompt"), *row.values()) if value is not None and value != ""), ""
        )
        labels.append(shown(f"{number}. {said}"))
    return Axis(label="row", values=tuple(labels)), [_merged(parameters, row) for row in rows]


def _check_number(number: int, field: str) -> None:
    if number > bounds.GROUP_JOBS:
        raise InvalidInput(f"{number} jobs are more than the {bounds.GROUP_JOBS} of a group", field=field)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    """``over`` above ``base``, objects within them alike."""
    merged = dict(deepcopy(base))
    for name, value in over.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged


def _set(cell: Values, path: str, value: Any) -> None:
    *outer, last = path.split(".")
    target = cell
    for name in outer:
        inner = target.setdefault(name, {})
        if not isinstance(inner, dict):
            raise InvalidInput(f"{name} is no object, so {path} cannot be set", field="field")
        target = inner
    target[last] = value


def _replace(cell: Values, words: str, value: str) -> None:
    prompts = {name: cell[name] for name in _PROMPTS if isinstance(cell.get(name), str)}
    if not any(words in text for text in prompts.values()):
        raise InvalidInput(f"{words!r} is in neither prompt", field="replace")
    cell |= {name: text.replace(words, value) for name, text in prompts.items()}


def _weigh(cell: Values, name: str, value: Any) -> None:
    loras = cell.setdefault("loras", [])
    if not isinstance(loras, list):
        raise InvalidInput("loras is no list, so a LoRA's weight cannot be set", field="lora")
    for lora in _dicts(loras):
        if lora.get("name") == name:
            lora["multiplier"] = value
            return
    loras.append({"name": name, "multiplier": value})


def _dicts(items: Sequence[Any]) -> Iterator[dict[str, Any]]:
    return (item for item in items if isinstance(item, dict))
