"""Two migrations of one number would leave databases without one of them."""

from __future__ import annotations

from importlib import resources


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    names = [item.name for item in resources.files("sdrest.storage.sqlite").joinpath("migrations").iterdir()]
    numbers = sorted(int(name.split("_")[0]) for name in names if name.endswith(".sql"))
    assert numbers == list(range(1, len(numbers) + 1))
