"""Fixtures for all tests, and what the run says of itself."""

import logging
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import settings

from tests.needs import INSTALL_COMMAND, NEEDS, require

structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        # As in a server: to print the values of local variables takes half a minute where one of them is the API document.
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
    wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
)

# Hundreds of servers put each change on the disk before they go on: with room in memory for what they write, none waits for a disk.
MEMORY: Final = Path("/dev/shm")
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# Tests ask for the same picture again and again, and mean to have it made; what is reused has tests of its own.
os.environ.setdefault("SDREST_REUSE_RESULTS", "false")
# As many servers compute at once as there are test processes: more threads would only wait for each other.
os.environ.setdefault("SDREST_THREADS", "1")
# The package asks the network for a price list when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")

# The same examples in every run: whether a change may land is not for a die to say. The nightly tests look further.
settings.register_profile("steady", derandomize=True, database=None)
settings.load_profile("steady")

pytest_plugins = ["tests.stub_engine", "tests.postgres", "tests.tiny.fixtures", "tests.acceptance.browser"]

ACCEPTANCE: Final = Path(__file__).parent / "acceptance"
#: Nets under tests that hang, in seconds; what a test takes is no business of its verdict.
NIGHTLY_TIMEOUT = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers and other people's clients are slow; nightly tests have more time than pyproject.toml gives the others."""
    for item in items:
        if item.path.is_relative_to(ACCEPTANCE):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("nightly") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(NIGHTLY_TIMEOUT))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look for what the test is marked to need."""
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested here, and how it would be."""
    skipped = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", ())
    )
    partly = "not slow" in terminalreporter.config.option.markexpr
    if not skipped and not partly:
        return
    terminalreporter.section("not tested here")
    for reason, number in sorted(skipped.items()):
        terminalreporter.line(f"{number:4} × {reason}")
    if any(need.installable and need.missing in skipped for need in NEEDS.values()):
        terminalreporter.line(f"`{INSTALL_COMMAND}` installs what is missing.")
    if partly:
        terminalreporter.line("The slow tests, which CI runs too: `make slow`; the long ones: `make nightly`.")
