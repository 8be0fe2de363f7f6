"""An engine whose children are stubs: starts in a tenth of a second, and misbehaves as a test wants it to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import stub_child
from tests.stub_child import Behaviour


class StubEngine:
    """The command that starts stubs, and what they do."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "behaviour"
        self.command = (sys.executable, str(Path(stub_child.__file__).resolve()), str(self._file))
        self.behave(Behaviour.GOOD)

    def behave(self, behaviour: Behaviour) -> None:
        """What the next child does."""
        self._file.write_text(behaviour, encoding="ascii")

    @property
    def starts(self) -> int:
        """How many children there were."""
        starts = Path(f"{self._file}.starts")
        return len(starts.read_text(encoding="ascii").splitlines()) if starts.exists() else 0


@pytest.fixture
def stub_engine(tmp_path: Path) -> StubEngine:
    """Engine children without the native library."""
    return StubEngine(tmp_path)
