"""The bounded JSON reader that every route uses."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
import structlog
from pydantic import BeforeValidator

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput
from sdrest.web.http.bodies import Body, parse_json, validate


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, "é", null, true]}', {"a": [1, 2.5, "é", None, True]}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('"\\ud83d\\ude00"', "😀"),
        ("-" + "9" * bounds.JSON_DIGITS, -int("9" * bounds.JSON_DIGITS)),
        ("1e308", 1e308),
    ],
)
def test_json_is_read(text: str, value: Any) -> None:
    assert parse_json(text.encode()) == value


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded(opening: str, closing: str) -> None:
    assert parse_json(nested(bounds.JSON_DEPTH, opening, closing))
    for depth in (bounds.JSON_DEPTH + 1, 100_000):
        with pytest.raises(InvalidInput, match=f"more than {bounds.JSON_DEPTH} deep"):
            parse_json(nested(depth, opening, closing))


def test_the_number_of_values_is_bounded() -> None:
    most = bounds.JSON_VALUES
    assert len(parse_json("[" + "1," * (most - 1) + "1]")) == most
    with pytest.raises(InvalidInput, match=f"more than {most} values"):
        parse_json("[" + "1," * most + "1]")


@pytest.mark.parametrize("digits", [bounds.JSON_DIGITS + 1, 5000, 1_000_000])
def test_the_digits_of_a_number_are_bounded(digits: int) -> None:
    for text in ("1" * digits, "[-" + "1" * digits + "]"):
        with pytest.raises(InvalidInput):
            parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"[1,]", b"NaN", b"-Infinity", b"1e999", b"-1e999", b'"\\ud800"', b'"\\udc00"', b'{"\\ud800": 1}',
        b"\xff", b'"\xed\xa0\x80"', b"'a'", b"[1] 2",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="is not JSON"):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"seed": 1, "seed": 2}', "seed"),
        ('[{"a": {"b": ":\\"{:", "c": 1, "\\u0062": 2}}]', "b"),
        ('{"": 1, "": 1}', ""),
    ],
)
def test_a_key_that_is_there_twice_is_refused(text: str, key: str) -> None:
    with pytest.raises(InvalidInput, match=f"has the key '{key}' twice"):
        parse_json(text)


@pytest.mark.parametrize("text", ['{"a:b": "c:d", "e": ["\\":", {"a:b": 1}]}', '["a:", ":"]', '":\\\\"', "{}"])
def test_colons_within_strings_are_no_keys(text: str) -> None:
    assert parse_json(text) == json.loads(text)


def test_a_message_names_the_field() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_json("{", what="extra", field="prompt")
    assert caught.value.problems[0].field == "prompt"
    assert caught.value.problems[0].message.startswith("extra is not JSON")


class Picky(Body):
    """A body whose validator was not written for what it may get."""

    name: Annotated[str, BeforeValidator(lambda value: value.strip())]


def test_what_a_validator_did_not_think_of_is_the_clients_error_and_logged_with_its_trace() -> None:
    assert validate(Picky, {"name": " a "}).name == "a"
    with (
        structlog.testing.capture_logs() as logged,
        structlog.contextvars.bound_contextvars(request_id="abc"),
        pytest.raises(InvalidInput, match=r"cannot be understood \(request abc\)"),
    ):
        validate(Picky, {"name": 5})
    assert [(entry["log_level"], entry["exc_info"]) for entry in logged] == [("error", True)]
