"""Statements come from files by their names, and a name that is wrong is told when the store is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.storage.sql.statements import statements


def test_each_statement_goes_from_its_name_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("-- name: one\n-- The first.\nSELECT 1;\n\n-- name: two\nSELECT\n    2;\n")
    found = statements("sdrest.storage.sqlite", str(tmp_path / "x"))
    assert found == {"one": "-- The first.\nSELECT 1;\n\n", "two": "SELECT\n    2;\n"}


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n")
    with pytest.raises(ValueError, match="two statements of one name: one, one"):
        statements("sdrest.storage.sqlite", str(tmp_path / "x"))
