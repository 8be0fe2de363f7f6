"""The picture of the house in the documentation is the one that the import rules keep."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]

Floors = list[frozenset[str]]


def drawn_floors() -> Floors:
    picture = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    rooms = re.findall(r"(?m)^(?:cli|[ │]*└─ ([a-z]+(?: \| [a-z]+)*))(?: {2}|$)", picture)
    return [frozenset(found.split(" | ")) for found in ("cli", *filter(None, rooms))]


def kept_floors() -> Floors:
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter")
    lines = rules["importlinter:contract:layers"]["layers"].split("\n")
    return [frozenset(line.replace("sdrest.", "").split(" | ")) for line in filter(None, lines)]


def test_the_drawn_floors_are_those_that_are_kept() -> None:
    assert drawn_floors() == kept_floors()


def test_every_room_of_the_package_is_on_a_floor() -> None:
    rooms = {path.parent.name for path in (ROOT / "sdrest").glob("*/__init__.py")}
    modules = {path.stem for path in (ROOT / "sdrest").glob("*.py")} - {"__init__", "__main__"}
    assert rooms - {"client"} | modules == frozenset().union(*kept_floors())
