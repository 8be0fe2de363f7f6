"""Bodies as clients of other servers write them: declared field by field, each with the looseness that is meant.

Fields that are not declared are passed over, and null is as if the field were not there. Beyond that a field takes what its type
says here and nothing else; what is wrong is told by the field's name.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Loose(BaseModel):
    """Base of the bodies of dialects, and of the objects within them."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value


def _whole(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic makes a problem of a ValueError
    return value.strip() if isinstance(value, str) else value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004
    return value.strip() if isinstance(value, str) else value


def _prose(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def as_text(value: object) -> object:
    """A number as a text, and a text without the space around it."""
    text = _prose(value)
    return text.strip() if isinstance(text, str) else text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _without_nulls(value: object) -> object:
    return [item for item in value if item is not None] if isinstance(value, list) else value


#: A whole number, also written as ``5.0`` or ``"5"``.
Whole = Annotated[int, BeforeValidator(_whole, json_schema_input_type=int | str)]
#: A number, also written as ``"5"``.
Number = Annotated[float, BeforeValidator(_number, json_schema_input_type=float | str)]
#: A text as it is, also written as a number.
Prose = Annotated[str, BeforeValidator(_prose, json_schema_input_type=str | float)]
#: A text without the space around it, also written as a number.
Text = Annotated[str, BeforeValidator(as_text, json_schema_input_type=str | float)]
#: A text that names something.
Name = Annotated[str, Field(max_length=500), BeforeValidator(as_text, json_schema_input_type=str | float)]
#: A list of texts; one alone may stand for a list of one, and nulls in it are passed over.
Texts = Annotated[
    list[Text], BeforeValidator(_without_nulls), BeforeValidator(_listed, json_schema_input_type=list[Any] | str)
]
