"""Form fields, built from the parameter tables: the limits, defaults and explanations are those of the API."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sdrest.core.names import SAMPLER_LABELS, SCHEDULER_LABELS, PictureFormat, PreviewMode, Sampler, Scheduler
from sdrest.core.parameters import limits_of
from sdrest.web.ui.labels import CHOICE_LABELS, FIELD_HELP, FIELD_UNITS, FORMAT_LABELS, PREVIEW_LABELS, field_label
from sdrest.web.ui.languages import _


class Kind(StrEnum):
    """How a field is drawn."""

    LINE = "line"
    AREA = "area"
    NUMBER = "number"
    SWITCH = "switch"
    CHOICE = "choice"
    PICTURE = "picture"
    PICTURES = "pictures"
    LIST = "list"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a picker."""

    value: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One form field, ready to be drawn. ``value`` is text as the browser holds it; ``step`` is ``any`` for fractions."""

    name: str
    label: str
    help: str
    kind: Kind
    value: str = ""
    default: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: str = "1"
    max_length: int | None = None
    options: tuple[Option, ...] = ()
    error: str = ""
    #: Kind of model file, for pickers whose options come from the registry.
    model_type: str = ""

    @property
    def id(self) -> str:
        """The element's id."""
        return "f-" + self.name.replace(".", "-")

    @property
    def is_idle(self) -> bool:
        """Whether it is a picker of files with nothing to pick."""
        return (
            bool(self.model_type)
            and not any(option.value for option in self.options)
            and not (self.value or self.error)
        )

    @property
    def is_stray(self) -> bool:
        """Whether it is a picker whose value is none of its choices: a file that is not here, or does not fit the model."""
        return bool(self.model_type and self.value) and all(option.value != self.value for option in self.options)

    @property
    def is_on(self) -> bool:
        """Whether a switch is on."""
        return self.value == "on"


#: Drawing and number step of plain types.
_PLAIN: Final[Mapping[Any, tuple[Kind, str]]] = {
    bool: (Kind.SWITCH, ""),
    int: (Kind.NUMBER, "1"),
    float: (Kind.NUMBER, "any"),
}
_AREAS: Final = frozenset({"prompt", "negative_prompt"})
#: Fields whose full range is too wide for the arrow keys to be of use.
_STEPS: Final[Mapping[str, str]] = {"width": "16", "height": "16"}


def leaf_fields(table: type, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:
    """Every field of a parameter table with its dotted name and type; nested tables are walked through."""
    hints = typing.get_type_hints(table)
    for item in dataclasses.fields(table):
        hint = hints[item.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from leaf_fields(hint, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, item, hint


def form_fields(
    table: type,
    *,
    values: Mapping[str, str],
    defaults: Mapping[str, str],
    errors: Mapping[str, str],
    model_options: Mapping[str, Sequence[Option]],
) -> dict[str, Field]:
    """The fields of a table by dotted name.

    Args:
        table: A dataclass whose fields were made with ``param``.
        values: Text to show by name; a field without one shows its default.
        defaults: Defaults that differ from the table's, those of the model.
        errors: What is wrong, by name.
        model_options: Choices for fields that name a model file, by kind of model.
    """
    found: dict[str, Field] = {}
    for name, item, hint in leaf_fields(table):
        default = defaults.get(name, field_text(item.default))
        field = dataclasses.replace(
            _field(name, item, hint, model_options),
            value=values.get(name, default),
            default=default,
            error=errors.get(name, ""),
        )
        found[name] = field
    return found


def _field(name: str, item: dataclasses.Field[Any], hint: Any, model_options: Mapping[str, Sequence[Option]]) -> Field:
    limits = limits_of(item)
    kind, step, options = drawn_as(name, hint, picture=limits.picture)
    if limits.model_type:
        kind = Kind.CHOICE
        # Nothing can be chosen by itself where a picture is given for one model of several.
        first = () if name == "control_net_model" else (Option("", _("Automatic")),)
        options = (*first, *model_options.get(limits.model_type, ()))
    return Field(
        name=name,
        label=field_label(name),
        help=FIELD_HELP.get(name) or _(limits.help),
        kind=kind,
        unit=FIELD_UNITS.get(name, ""),
        minimum=limits.ge,
        maximum=limits.le,
        step=_STEPS.get(name, step),
        max_length=limits.max_length if kind in {Kind.LINE, Kind.AREA} else None,
        options=options,
        model_type=limits.model_type,
    )


def drawn_as(name: str, hint: Any, *, picture: bool) -> tuple[Kind, str, tuple[Option, ...]]:
    """How a field of type ``hint`` is drawn, its number step, and its choices."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
        if hint is bool:
            return Kind.CHOICE, "", (Option("", _("Automatic")), Option("true", _("Yes")), Option("false", _("No")))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        if picture:
            return Kind.PICTURES, "", ()
        return (Kind.OTHER if dataclasses.is_dataclass(inner) else Kind.LIST), "", ()
    if picture:
        return Kind.PICTURE, "", ()
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return Kind.CHOICE, "", tuple(Option(str(value), choice_label(value)) for value in hint)
    if hint in _PLAIN:
        return *_PLAIN[hint], ()
    return (Kind.AREA if name in _AREAS else Kind.LINE), "", ()


def choice_label(value: StrEnum) -> str:
    """What a choice is called."""
    match value:
        case Sampler():
            return SAMPLER_LABELS[value]
        case Scheduler():
            return SCHEDULER_LABELS[value]
        case PreviewMode():
            return PREVIEW_LABELS[value]
        case PictureFormat():
            return FORMAT_LABELS[value]
        case _:
            plain = value.replace("_", " ").replace("-", " ").capitalize()
            return CHOICE_LABELS.get(f"{type(value).__name__}.{value}", plain)


def field_text(value: object) -> str:
    """A parameter's value as the browser's form holds it."""
    match value:
        case bool():
            return "on" if value else "off"
        case None | dataclasses.MISSING | ():
            return ""
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(field_text(item) for item in value if not isinstance(item, dict))
        case _:
            return str(value)


def texts_of(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A job's parameters as form texts by dotted name."""
    texts: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            texts |= texts_of(value, f"{prefix}{name}.")
        else:
            texts[prefix + name] = field_text(value)
    return texts
