"""What is missing skips a test, or fails it where CI is set and it could have been installed."""

from __future__ import annotations

import pytest

from tests.needs import INSTALL_COMMAND, NEEDS, Need, require


@pytest.fixture(autouse=True)
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NEEDS, "program", Need("a program is not installed", lambda: False))
    monkeypatch.setitem(NEEDS, "rights", Need("rights are missing", lambda: False, installable=False))
    monkeypatch.setitem(NEEDS, "here", Need("this is missing", lambda: True))


def test_a_developers_run_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    require("here")
    for name, words in (("program", "a program is not installed"), ("rights", "rights are missing")):
        with pytest.raises(pytest.skip.Exception, match=words):
            require(name)


def test_the_run_that_counts_fails_for_what_could_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    require("here")
    with pytest.raises(pytest.fail.Exception, match=f"a program is not installed.*{INSTALL_COMMAND}"):
        require("program")
    with pytest.raises(pytest.skip.Exception, match="rights are missing"):
        require("rights")
