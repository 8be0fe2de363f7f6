"""What a process that loads the native library is started with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sdrest.engine.child.environment import native_environment


def test_a_library_of_the_users_own_sources_is_taken_unless_he_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert "STABLE_DIFFUSION_CPP_LIB" not in native_environment({})
    library = tmp_path / "lib/sdrest-engine/libstable-diffusion.so"
    library.parent.mkdir(parents=True)
    library.touch()
    assert native_environment({})["STABLE_DIFFUSION_CPP_LIB"] == str(library)
    assert native_environment({"STABLE_DIFFUSION_CPP_LIB": "/mine.so"})["STABLE_DIFFUSION_CPP_LIB"] == "/mine.so"
