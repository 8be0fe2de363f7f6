"""A1111's scripts that make many pictures of one body: ``X/Y/Z plot``, and ``Prompts from file or textbox``.

Axes are numbered as in A1111 1.10, or named by their labels.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sdrest.core.errors import InvalidInput, Unsupported
from sdrest.core.group import Axis
from sdrest.core.parameters import RANDOM_SEED
from sdrest.web.requests.axis_values import numbers_of, texts_of
from sdrest.web.requests.grids import Direction, cells, listed

PLOT: Final = "x/y/z plot"
PROMPTS: Final = "prompts from file or textbox"
_NAMES: Final = {PLOT: PLOT, "xyz plot": PLOT, PROMPTS: PROMPTS, "prompts from file": PROMPTS}
#: Labels of axes in A1111's order; some are those of one of the routes only.
_AXES: Final[tuple[tuple[str, str], ...]] = (
    ("Nothing", ""),
    ("Seed", ""),
    ("Var. seed", ""),
    ("Var. strength", ""),
    ("Steps", ""),
    ("Hires steps", "txt2img"),
    ("CFG Scale", ""),
    ("Image CFG Scale", "img2img"),
    ("Prompt S/R", ""),
    ("Prompt order", ""),
    ("Sampler", "txt2img"),
    ("Hires sampler", "txt2img"),
    ("Sampler", "img2img"),
    ("Checkpoint name", ""),
    ("Negative Guidance minimum sigma", ""),
    ("Sigma Churn", ""),
    ("Sigma min", ""),
    ("Sigma max", ""),
    ("Sigma noise", ""),
    ("Schedule type", ""),
    ("Schedule min sigma", ""),
    ("Schedule max sigma", ""),
    ("Schedule rho", ""),
    ("Skip Early CFG", ""),
    ("Beta schedule alpha", ""),
    ("Beta schedule beta", ""),
    ("Eta", ""),
    ("Clip skip", ""),
    ("Denoising", ""),
    ("Initial noise multiplier", ""),
    ("Extra noise", ""),
    ("Hires upscaler", "txt2img"),
    ("Cond. Image Mask Weight", "img2img"),
    ("VAE", ""),
)
_NUMBERS: Final = {
    "seed": "seed",
    "steps": "steps",
    "hires steps": "hires.steps",
    "cfg scale": "cfg_scale",
    "image cfg scale": "img_cfg_scale",
    "eta": "eta",
    "clip skip": "clip_skip",
    "denoising": "strength",
}
#: Those whose values clients may send as a list of choices.
_CHOICES: Final = {"sampler": "sampler", "checkpoint name": "model", "schedule type": "scheduler", "vae": "vae_model"}
_WORDS: Final = "prompt s/r"
#: Options of a line of prompts, and the parameters that they are.
_OPTIONS: Final = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "seed": "seed",
    "steps": "steps",
    "cfg_scale": "cfg_scale",
    "width": "width",
    "height": "height",
    "sampler_name": "sampler",
    "sd_model": "model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What a script asks for: jobs, how they differ, and what the reply has beside their pictures."""

    axes: Sequence[Axis]
    cells: Sequence[Mapping[str, Any]]
    is_list: bool = False
    has_legend: bool = True
    has_pictures: bool = True
    has_sub_grids: bool = False
    #: What is written of the script with its grids.
    written: Mapping[str, str] = field(default_factory=dict)


def script_named(name: str) -> str:
    """The script that a body names; empty when there is none of that name."""
    return _NAMES.get(name.strip().lower(), "")


def plot_of(script: str, arguments: Sequence[Any], values: Mapping[str, Any], route: str) -> Plot:
    """What a script asks for.

    Args:
        script: As :func:`script_named` names it.
        arguments: ``script_args``.
        values: The parameters that the body asks for.
        route: ``txt2img`` or ``img2img``.

    Raises:
        InvalidInput: the arguments are none of that script (field ``script_args``).
        Unsupported: an axis is none that there is here.
    """
    try:
        return _grid(arguments, values, route) if script == PLOT else _lines(arguments, values)
    except InvalidInput as error:
        raise InvalidInput("; ".join(problem.message for problem in error.problems), field="script_args") from None


def _grid(arguments: Sequence[Any], values: Mapping[str, Any], route: str) -> Plot:
    given = [*arguments, *[None] * 16]
    by_text = bool(given[14])
    directions, written = [], {"Script": "X/Y/Z plot"}
    for number, letter in enumerate("XYZ"):
        kind, text, chosen = given[3 * number : 3 * number + 3]
        label = _label(kind, route)
        if label != "Nothing":
            direction = _direction(label, str(text or ""), chosen, route, by_text=by_text)
            directions.append(direction)
            shown = ", ".join(direction.axis.values)
            written |= {f"{letter} Type": label, f"{letter} Values": f'"{shown}"'}
    if not directions:
        raise InvalidInput("no axis is chosen", field="script_args")
    found = cells(values, directions)
    if given[12] and values.get("seed", RANDOM_SEED) == RANDOM_SEED:  # they are to stay random
        own = any(direction.field == "seed" for direction in directions)
        found = found if own else [{**cell, "seed": RANDOM_SEED} for cell in found]
    return Plot(
        axes=[direction.axis for direction in directions],
        cells=found,
        has_legend=True if given[9] is None else bool(given[9]),
        has_pictures=bool(given[10]),
        has_sub_grids=bool(given[11]),
        written=written,
    )


def _label(kind: Any, route: str) -> str:
    """The label of an axis that is given by number or label."""
    labels = [label for label, only in _AXES if only in {"", route}]
    if kind is None or kind == "":
        return "Nothing"
    if isinstance(kind, str) and not kind.strip().isdecimal():
        return next((label for label in labels if label.lower() == kind.strip().lower()), kind)
    index = int(kind) if isinstance(kind, str | int | float) else -1
    if not 0 <= index < len(labels):
        raise InvalidInput(f"there is no axis {kind!r}", field="script_args")
    return labels[index]


def _direction(label: str, text: str, chosen: Any, route: str, *, by_text: bool) -> Direction:
    name = label.lower()
    if name == _WORDS:
        words = texts_of(text)
        return Direction(replace=words[0], values=words)
    if name in _NUMBERS:
        path = "hires.strength" if name == "denoising" and route == "txt2img" else _NUMBERS[name]
        return Direction(field=path, values=numbers_of(text))
    if name in _CHOICES:
        listed_ones = [str(item) for item in chosen] if isinstance(chosen, list) and chosen and not by_text else []
        return Direction(field=_CHOICES[name], values=listed_ones or texts_of(text))
    known = ", ".join([*_NUMBERS, *_CHOICES, _WORDS])
    raise Unsupported(f"there is no axis {label!r} here; there are {known}")


def _lines(arguments: Sequence[Any], values: Mapping[str, Any]) -> Plot:
    """One job for each line; with the first argument seeds go on from line to line, with the second all have the same."""
    goes_on, has_one_seed, text = [*arguments, *[None] * 3][:3]
    lines = [line.strip() for line in str(text or "").splitlines() if line.strip()]
    if not lines:
        raise InvalidInput("there is no line with a prompt", field="script_args")
    base = dict(values)
    if (goes_on or has_one_seed) and base.get("seed", RANDOM_SEED) == RANDOM_SEED:
        base["seed"] = secrets.randbelow(2**32)
    rows = [_line(line) for line in lines]
    axis, found = listed(base, rows)
    if goes_on:
        number = int(base.get("batch_count") or 1)
        found = [{"seed": base["seed"] + index * number, **row} for index, row in enumerate(rows)]
        found = listed(base, found)[1]
    return Plot(axes=[axis], cells=found, is_list=True)


def _line(line: str) -> dict[str, Any]:
    """A prompt, or options as in ``--prompt "a cat" --steps 5``; what is neither is a prompt."""
    if "--" not in line:
        return {"prompt": line}
    try:
        words = shlex.split(line)
    except ValueError:
        return {"prompt": line}
    found: dict[str, Any] = {}
    while words:
        name = words.pop(0)
        taken = [words.pop(0)] if words else []
        if name in {"--prompt", "--negative_prompt"}:
            while words and not words[0].startswith("--"):
                taken.append(words.pop(0))
        if not taken or _OPTIONS.get(name.removeprefix("--"), "") == "" or not name.startswith("--"):
            return {"prompt": line}
        found[_OPTIONS[name.removeprefix("--")]] = " ".join(taken)
    return found
